"""Headquarters' pages: branches side by side, why sales moved, and what is seen of either in a file."""
