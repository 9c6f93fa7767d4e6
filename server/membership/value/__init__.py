"""What members are worth: grades, stages of their life with the chain, and value after the cost to serve."""
