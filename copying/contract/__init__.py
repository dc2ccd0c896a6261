"""The REST contract: documents, shared copy settings, errors.

settings.py    the shared copy settings, each defined once          documents.py  configuration, signals, logs, stopouts
history.py     transactions and their metrics                       accounts.py   what our backend adds
validation.py  everything wrong with a document, with its path      errors.py     error answers
hosts.py       the hosts of the account APIs                        provisioning.py  accounts, their states and roles
terminal.py    what an account's terminal tells                     metastats.py, equity_chart.py  figures of its past
wire.py        JSON in and out, times, edits laid over documents
"""
