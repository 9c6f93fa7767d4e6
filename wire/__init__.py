"""The contract both sides speak: topics, messages and the limits on them. Imports nothing of ours."""
