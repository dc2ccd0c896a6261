"""Editing the contract's copy settings on every level by one table of fields.

widgets.py      a value as the text of an input, as words, and back            fields.py  the table of all settings
forms.py        document -> inputs -> edit laid over the document, problems at their inputs
differences.py  what differs between two documents, in words                   merging.py two edits of one document

Documents stay the backend's own: what the table does not know is never touched. Nothing here asks a backend or saves.
"""
