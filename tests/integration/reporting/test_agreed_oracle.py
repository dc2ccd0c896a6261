"""Generated histories of marks by all rules, flows, rates by currency and consents against an oracle of their own.

A short sample runs always; `MARK_HISTORIES=250` runs that many firms of eight clients each.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict

import pytest
from django.db import transaction
from django.db.models import Sum

from reporting.commission.recompute import recompute
from reporting.commission.statement_file import statement_file
from reporting.models import CommissionLine
from reporting.views.statements import lines_of
from tests.agreed_story import AgreedStory
from tools import verify_statement

pytestmark = pytest.mark.django_db
FIRMS = int(os.environ.get("MARK_HISTORIES", "3"))
FIRST = int(os.environ.get("MARK_FIRST", "0"))


def check_statements(story, folder):
    """Every statement is the sum of its lines, and the program for auditors agrees with all of them."""
    story.close()
    earlier = defaultdict(list)
    for statement in story.firm.issue(story.now, story.now, accepts_old_rates=True):
        assert lines_of(statement).aggregate(total=Sum("amount"))["total"] == statement.total
        path = folder / f"{statement.number}.json"
        path.write_text(json.dumps(json.loads(statement_file(statement, lines_of(statement)))), encoding="utf-8")
        known = earlier[statement.subscriber_id]
        assert verify_statement.main([str(path), *known]) == 0
        known.append(str(path))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FIRMS))
def test_generated_histories_are_charged_as_the_oracle_says(seed, tmp_path):
    with transaction.atomic():
        story = AgreedStory(seed)
        story.run()
        assert all(recompute(line) == line.amount for line in story.firm.lines)
        incremental = {}
        for subscriber, client in story.clients:
            incremental[subscriber] = story.booked(subscriber)
            assert incremental[subscriber] == story.owed_by(subscriber, client), subscriber.backend_id
        story.check_closed()
        if story.closes:
            check_statements(story, tmp_path)
            assert CommissionLine.objects.exists()
        else:
            story.firm.from_nothing(story.now)
            for subscriber, booked in incremental.items():
                assert story.booked(subscriber) == booked
        transaction.set_rollback(True)
