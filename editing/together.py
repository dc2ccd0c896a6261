"""What several changes of objects would do together: at once, and to the signals of the last days."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from copying.client import Client, Forbidden, NotFound, Rejected
from copying.contract import wire
from editing.dangers import may_act, needs_measuring
from editing.immediate import NOT_OFFERED, ImmediateEffects, add_measured, document_effects
from editing.models import Change
from editing.what_if import DAYS, MOST_SIGNALS, WhatIf, changes_of, describe, over_mirror

AT_A_TIME = 200  # documents in one question, so that a backend answers it within a page


def effects_together(changes: Sequence[Change], *, client: Client) -> ImmediateEffects:
    """As editing.immediate.effects_of of one. The changes are of one connection. Raises the client's errors."""
    total = stated_together(changes)
    for some in batches([change for change in changes if needs_measuring(change)]):
        try:
            answer = client.immediate_effects(documents_of(some))
        except (NotFound, Forbidden):
            return replace(total, problem=NOT_OFFERED) if any(may_act(change) for change in some) else total
        except Rejected:
            continue  # what cannot be saved does nothing
        total = added(total, add_measured(ImmediateEffects(), some[0], answer))
    return total


def stated_together(changes: Iterable[Change]) -> ImmediateEffects:
    """What follows from the documents alone, each sentence once."""
    stated = [document_effects(change) for change in changes]
    reasons = dict.fromkeys(reason for effects in stated for reason in effects.reasons)
    notes = dict.fromkeys(note for effects in stated for note in effects.notes)
    return ImmediateEffects(list(reasons), list(notes))


def added(effects: ImmediateEffects, more: ImmediateEffects) -> ImmediateEffects:
    """Both together; sentences of the first."""
    names = ("count", "fires", "stopped", "positions", "accounts")
    sums: dict[str, Any] = {name: getattr(effects, name) + getattr(more, name) for name in names}
    return replace(
        effects, limits=[*effects.limits, *more.limits][:12], problem=effects.problem or more.problem, **sums
    )


def simulate_together(changes: Sequence[Change], *, client: Client, now: datetime, **narrowed: str) -> WhatIf:
    """As editing.what_if.simulate of one; narrowed: fields of the request that leave out what is not reached."""
    if not changes:
        return WhatIf(problem="Nothing is changed.")
    for days in DAYS:
        period = {"startTime": wire.format_time(now - timedelta(days=days)), "endTime": wire.format_time(now)}
        body = {"changes": documents_of(changes), "limit": MOST_SIGNALS, "differencesOnly": True, **narrowed, **period}
        try:
            return describe(changes[0], client.simulate(body), days)
        except (NotFound, Forbidden):
            return over_mirror(changes, now=now, **narrowed)
        except Rejected as error:
            if days == DAYS[-1]:
                return WhatIf(problem=f"The backend could not look back. {error.text}")
    raise AssertionError("every period was asked for")


def documents_of(changes: Iterable[Change]) -> dict[str, Any]:
    """The changes as a backend is asked about them."""
    documents: dict[str, dict[str, Any]] = {}
    for change in changes:
        for collection, entry in changes_of(change).items():
            documents.setdefault(collection, {}).update(entry)
    return documents


def batches(changes: Iterable[Change]) -> Iterable[list[Change]]:
    """So many at a time."""
    rest = iter(changes)
    while some := list(islice(rest, AT_A_TIME)):
        yield some
