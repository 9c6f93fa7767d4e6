"""Pages on which people enter what cameras and tills can't know, and look after what runs by itself."""
