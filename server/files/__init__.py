"""Files of rows that people and tills make: encodings, separators, numbers, workbooks."""
