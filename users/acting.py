"""On whose behalf the program acts just now, for the audit log: parts that write it do not know how they were called.

Requests, tasks and commands say so where they begin; what they call asks `current()`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """via: page, token, task or command; "" unknown. name: of the token, task or command. address: where from."""

    via: str = ""
    name: str = ""
    address: str = ""


_current: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def acting(origin: Origin) -> Iterator[None]:
    """Everything inside is done on that behalf."""
    before = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(before)


def become(origin: Origin) -> None:
    """Until the end of what is acted for now: a request that has shown by which token it acts."""
    _current.set(origin)


def current() -> Origin:
    """Where what happens now comes from."""
    return _current.get() or _of_process()


def _of_process() -> Origin:
    """A command of manage.py, or nothing that is known."""
    is_command = Path(sys.argv[0]).name == "manage.py" and len(sys.argv) > 1
    return Origin("command", sys.argv[1]) if is_command else Origin()
