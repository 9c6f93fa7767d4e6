"""Pictures for people to look at: what was counted drawn on them, and nobody in them to be recognised."""
