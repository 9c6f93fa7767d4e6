"""What happens by the clock: days computed anew, yesterday settled, the house kept in order."""
