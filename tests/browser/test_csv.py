"""A downloaded file holds exactly the rows of the list with its filters."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

OFTEN_GAINED = """
    SELECT symbol, count(*) FROM reporting_transaction WHERE subscriber_id = %s AND profit > 0 AND symbol <> ''
    GROUP BY symbol ORDER BY count(*) DESC, symbol LIMIT 1
"""


def download(page: Page) -> list[dict[str, str]]:
    """The rows of the file behind the list's button."""
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").first.click()
    assert waiting.value.suggested_filename.endswith(".csv")
    with Path(waiting.value.path()).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
    assert all(None not in row and None not in row.values() for row in rows)
    return rows


def seconds(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(microsecond=0)


def count(page: Page) -> int:
    """How many rows the list says it has."""
    return int("".join(re.findall(r"\d", page.locator(".list-count").inner_text())))


@pytest.mark.parametrize("has_scripts", [True, False])
def test_transactions_as_a_file_are_those_of_the_list(stack, open_context, has_scripts):
    symbol, gains = stack.rows(OFTEN_GAINED, "A-2002")[0]  # the demo's last weeks are others every day
    page = open_context("manager", java_script_enabled=has_scripts).new_page()
    page.goto(f"/transactions/?subscriber=A-2002&symbol={symbol}&outcome=gain")
    rows = download(page)
    assert len(rows) == count(page) >= gains > 3
    assert {(row["subscriber_id"], row["symbol"]) for row in rows} == {("A-2002", symbol)}
    assert all(float(row["profit"]) > 0 for row in rows)
    times = [time.get_attribute("datetime") for time in page.locator("#transactions tbody td:first-child time").all()]
    assert [seconds(row["time"]) for row in rows[: len(times)]] == [seconds(time) for time in times]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/strategies/?q=reversion", "strategies"),
        ("/subscribers/?currency=EUR", "subscribers"),
        ("/stopouts/?state=past", "stopouts"),
    ],
)
def test_lists_as_files_have_the_rows_shown(manager, path, part):
    manager.goto(path)
    rows = download(manager)
    names = manager.locator(f"#{part} tbody a.name").all_inner_texts()
    assert [row.get("name") or row.get("subscriber") for row in rows] == names
    assert names
