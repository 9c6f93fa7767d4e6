"""Stored value (储值): what is paid in beforehand, kept as a double-entry ledger, with principal and bonus apart."""
