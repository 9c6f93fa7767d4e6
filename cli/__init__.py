"""The `doorline` command. Imports the other packages lazily, so that a box without a server can run it."""
