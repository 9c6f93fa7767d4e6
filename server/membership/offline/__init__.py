"""What a desk wrote down while its network was away, taken in once and under the name of who wrote it."""
