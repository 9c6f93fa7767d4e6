"""Every KPI, defined once: the facts of a store's hours and days, and the formulas over them."""
