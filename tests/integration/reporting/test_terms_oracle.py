"""Generated histories with changing terms against an oracle that shares no code with the ledger.

A short sample runs always; `TERMS_HISTORIES=250` runs that many firms of eight clients each.
"""

from __future__ import annotations

import os

import pytest
from django.db import transaction

from tests.terms_story import Story

pytestmark = pytest.mark.django_db
FIRMS = int(os.environ.get("TERMS_HISTORIES", "4"))
FIRST = int(os.environ.get("TERMS_FIRST", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + FIRMS))
def test_generated_terms_are_charged_as_the_oracle_says(seed):
    with transaction.atomic():
        story = Story(seed)
        story.run()
        story.check()
        if not story.closes:
            incremental = story.sums()
            story.firm.from_nothing(story.now)
            assert story.sums() == incremental
        transaction.set_rollback(True)
