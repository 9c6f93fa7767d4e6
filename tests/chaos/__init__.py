"""Breaking it on purpose: real processes, seeded faults, and what must be true afterwards."""
