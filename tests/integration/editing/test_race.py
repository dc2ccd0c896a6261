"""Two managers who save at the same moment: one is written, the other is told, and nothing is overwritten."""

from __future__ import annotations

import threading

import pytest
from django.db import connections
from django.utils import timezone

from editing.models import Change
from editing.proposals import propose
from editing.saving import Conflict, save_change
from editing.scopes import scope_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_saves_at_once_one_is_written_and_every_other_is_a_conflict(desk):
    before = desk.at_backend(desk.alpine)
    scope, now = scope_of(desk.alpine), timezone.now()
    drafts = [
        propose(scope, by=None, now=now, before=before, after=before | {"maxTradeVolume": 1.0 + number})
        for number in range(5)
    ]
    gate, answers = threading.Barrier(len(drafts)), {}

    def save(draft: Change) -> None:
        try:
            own = Change.objects.select_related("connection", "workspace").get(pk=draft.pk)
            with own.connection.client() as client:
                gate.wait(10)
                answers[draft.pk] = save_change(own, client=client, by=None, now=timezone.now())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=save, args=(draft,)) for draft in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    saved = [pk for pk, answer in answers.items() if not isinstance(answer, Conflict)]
    assert len(answers) == len(drafts)
    assert len(saved) == 1
    written = next(draft for draft in drafts if draft.pk == saved[0])
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == written.after["maxTradeVolume"]
    assert list(Change.objects.saved().values_list("pk", flat=True)) == saved
