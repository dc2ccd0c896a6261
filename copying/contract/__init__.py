"""The REST contract: documents, shared copy settings, errors.

settings.py    the shared copy settings, each defined once          documents.py  configuration, signals, logs, stopouts
history.py     transactions and their metrics                       accounts.py   what our backend adds
validation.py  everything wrong with a document, with its path      errors.py     error answers
wire.py        JSON in and out, times, edits laid over documents
"""
