"""Batches in, rows out, exactly once."""
