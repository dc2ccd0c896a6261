"""The mirror of a backend: configuration, histories, logs, stopouts and accounts, brought into the portal's tables.

Rows of SyncState are the queue (states.py); run.py claims what is due and calls one function per kind. Every function
may be stopped at any instruction and repeated: rows are upserted, and a cursor moves in the database transaction of its
rows.

ahead.py          fetching while storing
states.py         claim, lease, cursor, success and failure   run.py         what is mirrored how often, and why
source.py         one page of the backend, or why it cannot be read          quarantine.py  pages that cannot be read
deals.py          pages of transactions as lines for COPY
windows.py        a history read completely, in windows of time                history.py     transactions by COPY
configuration.py  strategies, portfolios, subscribers         logs.py        the trading logs
stopouts.py       stopouts and their resets                   accounts.py    balances, equity, equity history
decisions.py      why signals were or were not copied
"""
