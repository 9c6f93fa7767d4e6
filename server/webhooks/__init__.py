"""Who outside the house is told what happens: subscriptions, signed deliveries, and where they may not go."""
