"""Every KPI, defined once: its formula, how it rolls up, how sure it is."""
