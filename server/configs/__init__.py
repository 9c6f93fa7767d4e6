"""What boxes are to do, set from the centre: checked, kept by revision, handed out, and what became of it."""
