"""Numbers of the rules that entries of the journal go by (`book.privacy`): each holds from an entry of its own on."""

from __future__ import annotations

CONSENT = 1  # strategies are copied by others only where they are offered; new ids are handed out first
PRIVATE_IDS = 2  # ids of positions, orders, deals and decisions do not count everybody's (numbers.py)
RECORDED_DEALS = 3  # trades that are no copies, deposits and withdrawals are recorded as deals (account_deals.py)
NEWEST = RECORDED_DEALS
