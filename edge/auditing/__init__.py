"""A count held against a person's: what was matched, how sure that makes it, and what was wrong to look at."""
