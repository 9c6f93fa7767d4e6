"""Files of members as jobs: begun from a page, watched, stopped, and what was not taken sent again corrected."""
