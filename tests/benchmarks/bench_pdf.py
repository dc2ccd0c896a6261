"""How long the PDF of a statement with 2,000 lines takes.

    python -m copyportal.services run -- python tests/benchmarks/bench_pdf.py

The lines are computed and issued in a database that is thrown away; measured is what a download computes.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.db import connection

from reporting.commission.pdf import statement_pdf
from reporting.models import Statement
from reporting.views.statements import lines_of
from tests.firm import Firm, at

LINES, RUNS = 2_000, 5


def issued() -> Statement:
    """A statement of so many deals."""
    firm = Firm(scheme="lots-traded", rate=3)
    for number in range(LINES):
        firm.deal(at(5, 2) + timedelta(minutes=20 * number), side="open", lots="0.37")
    now = datetime(2026, 6, 2, 9, tzinfo=UTC)
    firm.accrue(now)
    firm.close(at(6, 1, 0), now)
    (statement,) = firm.issue(at(6, 1, 0), now)
    return statement


def main() -> None:
    connection.creation.create_test_db(verbosity=0)
    try:
        measure(issued())
    finally:
        connection.creation.destroy_test_db(connection.settings_dict["NAME"], verbosity=0)


def measure(statement: Statement) -> None:
    """Print the best of some runs."""
    document = Statement.objects.with_balance().select_related("subscriber", "corrects").get(pk=statement.pk)
    times = []
    for _ in range(RUNS):
        begun, cpu = time.perf_counter(), time.process_time()
        content = statement_pdf(document, lines_of(document).order_by("period_start", "occurred_at", "pk"))
        times.append((time.perf_counter() - begun, time.process_time() - cpu))
    elapsed, processor = min(times)
    print(f"{LINES} lines: {elapsed:.2f} s ({processor:.2f} s of processor), {len(content):,} bytes, best of {RUNS}")


if __name__ == "__main__":
    main()
