"""The member desk: find or enrol a member, see what they have, spend it with them, with a network and without one."""
