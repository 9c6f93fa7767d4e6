"""The counter's parts: borders and passages, zones, groups, tags, and what people drew on a picture."""
