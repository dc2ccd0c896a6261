"""Kinds of jobs that only these tests have, and a folder of their own for results."""

from __future__ import annotations

import pytest
from django.utils import timezone

from jobs import kinds, services
from jobs.kinds import JobKind, JobStep, Result, Work
from jobs.models import MAY_SEE, Job
from users.models import Membership
from users.permissions import can_manage

SEEN: list[tuple[str, int]] = []  # what was worked on: the job's title and the number, in the order of the slices


def count(work: Work):
    """As many slices as asked, each noted."""
    upto = work.job.parameters.get("upto", 3)
    for number in range(work.job.cursor.get("next", 0), upto):
        SEEN.append((work.job.title, number))
        if (error := work.job.parameters.get("error")) and number == error["at"]:
            raise kinds.JobRefused("It cannot be.") if error["final"] else RuntimeError("a secret of the program")
        if number + 1 == upto:
            yield JobStep(
                cursor={"next": number + 1}, done=upto, total=upto, result=Result("All is counted.", href="/")
            )
        else:
            yield JobStep(cursor={"next": number + 1}, done=number + 1, total=upto, message="Counting.")


KINDS = (
    JobKind("count", "Counting", "numbers", count, may_see=kinds.staff, may_ask=can_manage),
    JobKind("private", "For managers", "numbers", count, may_see=can_manage, may_ask=can_manage),
    JobKind("serial", "One by one", "numbers", count, kinds.staff, can_manage, waits_for=("serial", "count")),
    JobKind("standing", "Again and again", "numbers", count, kinds.staff, kinds.nobody, True, ("serial",), 15),
)


@pytest.fixture(autouse=True)
def _kinds(monkeypatch, settings, tmp_path):
    """Only these kinds and exports, so that nothing of the portal's own runs beside them."""
    settings.VAR = tmp_path
    SEEN.clear()
    own = {kind.key: kind for kind in KINDS} | {"export": kinds.KINDS["export"]}
    registered = dict(kinds.KINDS)
    kinds.KINDS.clear()
    kinds.KINDS.update(own)
    for key, kind in own.items():
        monkeypatch.setitem(MAY_SEE, key, kind.may_see)
    monkeypatch.setattr(services, "wake", lambda: None)
    yield
    kinds.KINDS.clear()
    kinds.KINDS.update(registered)


@pytest.fixture
def asks():
    """A function that puts a job into the queue for a person."""

    def ask(person, kind="count", title="numbers", **more) -> Job:
        membership = Membership.objects.select_related("workspace", "user").get(user=person)
        parameters = {name: more.pop(name) for name in ("upto", "error") if name in more}
        return services.ask(kind, membership, title=title, parameters=parameters, now=timezone.now(), **more)

    return ask


@pytest.fixture
def seen() -> list[tuple[str, int]]:
    return SEEN
