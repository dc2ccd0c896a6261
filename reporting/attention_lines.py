"""A line of what a manager should look at, and the words and addresses that lines are made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.urls import reverse

from subscribers.models import Subscriber

MOST_COUNTED = 1_000


@dataclass(frozen=True)
class AttentionLine:
    """title: what it is about, a link where there is an address; rest: what of it; note: one more sentence.

    tone: bad, warn or muted. since: of when it is. amounts: (amount, currency) that belong to the note. account: for a
    limit that is close, which the page writes with its figures.
    """

    tone: str
    icon: str
    title: str
    rest: str = ""
    href: str = ""
    note: str = ""
    since: datetime | None = None
    amounts: tuple[tuple[Decimal, str], ...] = ()
    account: Subscriber | None = None


def address(name: str, *arguments: Any, **query: Any) -> str:
    """A page with filters."""
    path = reverse(name, args=arguments)
    return f"{path}?{'&'.join(f'{key}={value}' for key, value in query.items())}" if query else path


def counted(number: int, noun: str, nouns: str = "") -> str:
    """ "1 account", "1,000+ accounts"."""
    shown = f"{MOST_COUNTED:,}+" if number > MOST_COUNTED else f"{number:,}"
    return f"{shown} {noun if number == 1 else nouns or noun + 's'}"
