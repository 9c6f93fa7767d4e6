"""Tiers: which member gets what, by rules on what they spent, how often they came or what they earned.

`rules` says what a tier asks for and gives, `standing` when somebody goes up or down (both pure); `evaluation` follows
receipts and the calendar, `simulation` shows what other rules would do before they are saved.
"""
