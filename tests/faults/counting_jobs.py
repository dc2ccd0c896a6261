"""One more kind of job for killed workers: each slice writes an entry, so that a lost or doubled one shows."""

from __future__ import annotations

import time
from collections.abc import Iterator

from jobs import kinds
from jobs.kinds import JobKind, JobStep, Result, Work
from users.services import record_audit

SLICES = 100


def slices(work: Work) -> Iterator[JobStep]:
    for number in range(work.job.cursor.get("next", 0), SLICES):
        record_audit(work.job.workspace, user=None, action="counted", subject=f"{work.job.pk}:{number}", now=work.now)
        time.sleep(0.01)  # a kill falls into slices, too, not only between them
        result = Result("Counted.") if number + 1 == SLICES else None
        yield JobStep(cursor={"next": number + 1}, done=number + 1, total=SLICES, result=result)


COUNTING = kinds.register(JobKind("counting", "Counting", "numbers", slices, kinds.staff, kinds.staff))
