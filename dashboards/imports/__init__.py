"""Pages on which files come in: receipts of tills, members of an old system, rates, and what contradicts itself."""
