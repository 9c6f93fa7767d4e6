"""Pages for people, rendered over the server's services; no table is read here."""
