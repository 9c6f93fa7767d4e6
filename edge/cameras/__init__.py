"""Where frames come from: connections, live streams and recordings, their times and how they are looked at."""
