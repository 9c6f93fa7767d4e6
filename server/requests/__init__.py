"""What people ask of a box and its one answer: passed on while they wait, kept for minutes, on record who asked."""
