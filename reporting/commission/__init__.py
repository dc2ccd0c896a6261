"""What subscribers owe for copying: the formulas, the high-water marks and the ledger (docs/commissions.md).

`money`, `periods`, `policy`, `highwater` and `schemes` are pure; `ledger` and `services` read and write the database.
"""
