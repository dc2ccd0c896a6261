"""What the book holds, and what may change it: entities, tables, accounts, valuation, commands, effects, snapshots."""
