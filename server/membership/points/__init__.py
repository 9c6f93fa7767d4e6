"""Points: earned on receipts, spent at the desk, expiring in lots; a ledger to which things are only ever added.

`rules` and `earning` say what a receipt is worth, `purse` what may happen to one member's lots (all three pure);
`posting` turns events of receipts and members into entries, `service` and `adjustments` do what people ask for,
`expiry` what time does, `proof` shows that balance, ledger and lots agree.
"""
