"""Stores and what belongs to them: calendars, opening hours, cameras, lines, devices and facts."""
