"""When members were in a store: checked in at the desk, or seen by a receipt."""
