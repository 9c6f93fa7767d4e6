"""Receipts from the tills: by API and by file, once each, in any order."""
