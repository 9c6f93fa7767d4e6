"""A store-day made from what was counted, watched and sold, and kept."""
