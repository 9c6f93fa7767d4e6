"""A question put to kept days, and its answer: reports, comparisons, reasons."""
