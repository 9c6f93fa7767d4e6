"""What the centre may ask of a box while somebody waits: a picture, paths, a line tried on the last minute."""
