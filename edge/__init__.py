"""What runs in the store: cameras in, counted crossings out, safe on disk until the server has them."""
