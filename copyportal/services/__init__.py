"""Everything around the portal's processes: bootstrap of the virtual environment, embedded servers and the supervisor.

Runs before Django is configured (it decides what the settings will read), so nothing here may import settings or
models. `python -m copyportal.services --help` lists what it can do; `make` is the usual way in.
"""

from __future__ import annotations


class CannotStart(Exception):
    """Something outside the code prevents a start; the text is one sentence that says what and what to do."""
