"""A chain's first hour: how far it is from an empty database to a live count."""
