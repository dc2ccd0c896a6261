"""The review of a bulk edit: what its rows do together, as the backends measure it at this moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from django.core.cache import cache
from django.utils import timezone

from editing.backend import NotDone, backend_of
from editing.bulk import proposals_of, with_documents
from editing.dangers import may_act, needs_measuring
from editing.immediate import ImmediateEffects
from editing.models import BulkEdit, Change
from editing.together import added, effects_together, simulate_together, stated_together
from editing.what_if import WhatIf
from users.models import Connection

CACHED_S = 300
NOT_KNOWN = "Whether a limit is exceeded already is not known. "
ONE_BACKEND = "The accounts are at several backends: each looks back for itself. Choose those of one."
LOOKING_BACK = {"timeout_s": 20, "extended_timeout_s": 30, "retries": 0, "wait_budget_s": 1}


def changes_of_bulk(bulk: BulkEdit) -> Iterator[tuple[Connection, list[Change]]]:
    """What would be saved, by backend."""
    proposals = proposals_of(with_documents(bulk), now=timezone.now())
    proposals.sort(key=lambda change: change.connection_id)
    for _, group in groupby(proposals, key=lambda change: change.connection_id):
        changes = list(group)
        yield changes[0].connection, changes


def effects_of_bulk(bulk: BulkEdit) -> ImmediateEffects:
    """All that carrying it out would do at once; why not, where a backend cannot be asked."""
    total = ImmediateEffects()
    for connection, changes in changes_of_bulk(bulk):
        try:
            with backend_of(connection) as client:
                more = effects_together(changes, client=client)
        except NotDone as error:
            more = stated_together(changes)
            if any(needs_measuring(change) and may_act(change) for change in changes):
                more = replace(more, problem=f"{NOT_KNOWN}{error.text}")
        reasons, notes = (
            list(dict.fromkeys([*getattr(total, name), *getattr(more, name)])) for name in ("reasons", "notes")
        )
        total = replace(added(total, more), reasons=reasons, notes=notes)
    return total


def what_if_of_bulk(bulk: BulkEdit, *, now: datetime) -> WhatIf:
    """What all of it would have done to the signals of the last days; kept for some minutes."""
    key = f"bulk-what-if:{bulk.pk}:{hashlib.sha256(str(bulk.request).encode()).hexdigest()[:16]}"
    summary = cache.get(key)
    if summary is not None:
        return summary
    backends = list(changes_of_bulk(bulk))
    if not backends:
        return WhatIf(problem="Nothing is changed.")
    if len(backends) > 1:
        return WhatIf(problem=ONE_BACKEND)
    [(connection, changes)] = backends
    try:
        with backend_of(connection, **LOOKING_BACK) as client:
            summary = simulate_together(changes, client=client, now=now)
    except NotDone as error:
        return WhatIf(problem=error.text)
    cache.set(key, summary, CACHED_S)
    return summary
