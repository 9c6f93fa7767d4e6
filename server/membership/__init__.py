"""VIPs: enrolled once per phone number, encrypted at rest, found by keyed hashes."""
