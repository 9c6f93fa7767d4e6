"""Tests mirror the source tree; what they share is in `tests.fixtures`."""
