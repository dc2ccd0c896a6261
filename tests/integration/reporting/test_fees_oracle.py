"""Generated histories with fees beside the commission against an oracle that shares no code with the ledger.

A short sample runs always; `FEES_HISTORIES=500` runs that many firms of eight clients each.
"""

from __future__ import annotations

import os

import pytest
from django.db import transaction

from tests.fees_story import FeesStory

pytestmark = pytest.mark.django_db
FIRMS = int(os.environ.get("FEES_HISTORIES", "4"))
FIRST = int(os.environ.get("FEES_FIRST", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FIRMS))
def test_generated_fees_are_charged_as_the_oracle_says(seed):
    with transaction.atomic():
        story = FeesStory(seed)
        story.run()
        story.check()
        if not story.closes:
            incremental = story.sums()
            story.firm.from_nothing(story.now)
            assert story.sums() == incremental
        transaction.set_rollback(True)
