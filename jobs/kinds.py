"""What kinds of jobs there are: each app registers its own when it is loaded.

A kind is carried out in slices: a generator that yields a `JobStep` after each. What a slice did and the step's cursor
are stored in one transaction, so a worker may be killed anywhere: the next one calls the generator anew with the cursor
that was stored last. A turn ends after some seconds; what the generator keeps in local names lives that long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobs.leases import LeaseLost
from jobs.models import MAY_SEE, Job
from users.models import Membership


class JobRefused(Exception):
    """A job cannot be carried out, and trying again does not help.

    text: a sentence for whoever asked.
    """

    transient = False

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class CancelAsked(Exception):
    """Somebody asked for the end of a job whose slice is under way and has stored nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job. text: a sentence; href: the page that shows it; file: its name below VAR/jobs."""

    text: str
    href: str = ""
    file: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobStep:
    """How far a job is after a slice. done, total: in the kind's unit; total None: not known.

    result: it is finished. cursor: JSON; None: as it was. pause_s: it waits for something outside; others have the
    worker for so long, and the turn ends.
    """

    cursor: dict[str, Any] | None = None
    done: int = 0
    total: int | None = None
    message: str = ""
    result: Result | None = None
    pause_s: float = 0.0


@dataclass(slots=True)
class Work:
    """A job in the hands of a worker. membership: of whoever asked, as it is now; None for what repeats by itself."""

    job: Job
    membership: Membership | None
    now: datetime
    progress: JobStep | None = None
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def asker(self) -> Membership:
        """Whoever asked. Only for kinds that somebody asks for."""
        if self.membership is None:
            raise JobRefused("Nobody who may do this asked for it.")
        return self.membership

    def report(self, done: int, total: int | None = None, message: str = "") -> None:
        """How far a long slice is: stored and shown within seconds. Raises LeaseLost, CancelAsked."""
        self.progress = JobStep(done=done, total=total, message=message)
        if self.lost.is_set():
            raise LeaseLost
        if self.cancelled.is_set():
            raise CancelAsked


Slices = Callable[[Work], Iterator[JobStep]]
Right = Callable[[Membership], bool]


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    words: what it is called on pages. unit: what its progress counts, several of them. may_ask: checked when it is
    asked for and again at every turn; whoever may ask may cancel. is_stored_by_slice: False where a slice only reads or
    asks a backend, outside any transaction. waits_for: kinds whose earlier jobs of the same workspace go first.
    repeats_after_s: it is never finished and begins again after so long. member_of: whoever asked for a job that no
    person asked for, such as a service; None: nobody.
    """

    key: str
    words: str
    unit: str
    slices: Slices
    may_see: Right
    may_ask: Right
    is_stored_by_slice: bool = True
    waits_for: tuple[str, ...] = ()
    repeats_after_s: float | None = None
    most_attempts: int = 5
    member_of: Callable[[Job], Membership | None] | None = None
    stays: timedelta = timedelta(days=90)  # how long a finished row is listed


KINDS: dict[str, JobKind] = {}


def register(kind: JobKind) -> JobKind:
    """Add a kind. A key is registered once, or again by the same module (a reload)."""
    other = KINDS.get(kind.key)
    if other is not None and other.slices.__module__ != kind.slices.__module__:
        raise ValueError(f"Two kinds of jobs are called {kind.key}.")
    KINDS[kind.key] = kind
    MAY_SEE[kind.key] = kind.may_see
    return kind


def staff(membership: Membership) -> bool:
    """Anybody who works for the firm."""
    return membership.is_staff_role


def nobody(membership: Membership) -> bool:
    """Nobody asks for what repeats by itself."""
    return False
