"""A chain made up at full size, so that what is claimed about speed can be measured without anybody's data."""
