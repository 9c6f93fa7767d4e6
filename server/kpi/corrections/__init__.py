"""What people say of a day beyond what its sensors said: corrections and rosters."""
