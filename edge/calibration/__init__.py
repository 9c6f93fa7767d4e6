"""Setting a camera up from what it saw: where people walk, how large they are, and so where a line should lie."""
