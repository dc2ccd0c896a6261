"""Fetches the European Central Bank's reference rates: its published file is read, checked and stored, or refused.

A file is believed only where it agrees with what is known. Wrong rates in a closed period stay there for ever, so a
file that is doubtful is not taken: the rates of before go on, and are marked when they are old.
"""

from __future__ import annotations

import csv
import io
import re
import time
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import httpx
from django.conf import settings

from reporting.rates import Rates, is_business_day, is_old, shipped_currencies, stored_series
from reporting.reference_rates import RateFetch, ReferenceRate

ADDRESS = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-hist-90d.xml"
FRANKFURT = ZoneInfo("Europe/Berlin")
PUBLISHED_AT = (16, 30)  # the ECB publishes at about 16:00 its time
TRY_AGAIN, LEASE = timedelta(hours=1), timedelta(minutes=5)
MOST_SECONDS = 30.0
MOST_BYTES = 5_000_000
MOST_UNPACKED_BYTES = 30_000_000
FEWEST_CURRENCIES = 20
MOST_MISSING = 2  # the ECB takes one off its list now and then; half a file lacks many
MOST_DIFFERENT = 2  # of the values that are known already
MOST_DAILY_FACTOR = Decimal("1.25")  # a larger move is a mistake, or once in years true: the next day tells
MOST_FACTOR_AFTER_GAP = Decimal("1.6")
MOST_DECIMALS = 10
SMALLEST, LARGEST = Decimal("0.000001"), Decimal("1000000000")

# what `zipfile` raises for an archive that is cut, changed on its way, encrypted or packed by a way it does not know
BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)

Published = dict[date, dict[str, Decimal]]
"""Units per euro by day and currency."""


class RatesRefused(Exception):
    """The file is not taken. text: a sentence for the user, without the address. transient: the next try may help."""

    transient = True

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


@dataclass(slots=True)
class Checked:
    """What of a file is new, and what a person should know of it."""

    rows: list[tuple[str, date, Decimal]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


# --- Reading ----------------------------------------------------------------------------------------------------------


def download(address: str, client: httpx.Client) -> bytes:
    """The file, of bounded size in bounded time. Raises RatesRefused."""
    stop_at, parts, size = time.monotonic() + MOST_SECONDS, [], 0
    try:
        with client.stream("GET", address) as response:
            if response.status_code != 200:
                raise RatesRefused(f"The rates could not be fetched: the answer was {response.status_code}.")
            for part in response.iter_bytes():
                size += len(part)
                if size > MOST_BYTES:
                    raise RatesRefused(f"The file of rates is larger than {MOST_BYTES:,} bytes, so it was not read.")
                if time.monotonic() > stop_at:
                    raise RatesRefused(f"The file of rates did not arrive within {MOST_SECONDS:.0f} s.")
                parts.append(part)
    except httpx.TimeoutException as error:
        raise RatesRefused("The rates could not be fetched: no answer in time.") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RatesRefused(f"The rates could not be fetched: {type(error).__name__}.") from error
    return b"".join(parts)


def parse_rates(content: bytes) -> Published:
    """The rates of a file in one of the ECB's two forms: XML, or a CSV in a ZIP. Raises RatesRefused."""
    published: Published = {}
    pairs = _values_of_zip(content) if content.startswith(b"PK") else _values_of_xml(content)
    for day_text, currency, value_text in pairs:
        try:
            day, value = date.fromisoformat(day_text), Decimal(value_text)
        except (ValueError, InvalidOperation) as error:
            raise RatesRefused(
                f"The file has no rate that can be read for {currency[:8]} on {day_text[:16]}."
            ) from error
        is_possible = value.is_finite() and SMALLEST < value < LARGEST and value == round(value, MOST_DECIMALS)
        if not re.fullmatch("[A-Z]{3}", currency) or not is_possible:
            raise RatesRefused(f"The file has an impossible rate for “{currency[:8]}” on {day}.")
        of_day = published.setdefault(day, {})
        if of_day.setdefault(currency, value) != value:
            raise RatesRefused(f"The file has two rates for {currency} on {day}.")
    if not published:
        raise RatesRefused("The file has no rates: it is not the ECB's file.")
    return published


def _values_of_xml(content: bytes) -> Iterator[tuple[str, str, str]]:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise RatesRefused("The file is not the ECB's: it declares entities.")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RatesRefused("The file is not whole, or not the ECB's: it cannot be read as XML.") from error
    for cube in root.iter():
        if cube.tag.endswith("}Cube") and "time" in cube.attrib:
            for rate in cube:
                yield cube.attrib["time"], rate.get("currency", ""), rate.get("rate", "")


def _values_of_zip(content: bytes) -> Iterator[tuple[str, str, str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            name = next((name for name in archive.namelist() if name.endswith(".csv")), None)
            if name is None:
                raise RatesRefused("The file is not the ECB's: no CSV is in it.")
            with archive.open(name) as file:
                unpacked = file.read(MOST_UNPACKED_BYTES + 1)
    except BROKEN_ARCHIVE as error:
        raise RatesRefused("The file is not whole, or not the ECB's: it cannot be unpacked.") from error
    if len(unpacked) > MOST_UNPACKED_BYTES:
        raise RatesRefused("The file of rates is too large when unpacked.")
    try:
        rows = list(csv.DictReader(io.StringIO(unpacked.decode("utf-8", "replace")), restkey="", restval=""))
    except csv.Error as error:
        raise RatesRefused("The file is not whole, or not the ECB's: it cannot be read as CSV.") from error
    for row in rows:
        for currency, value in row.items():
            if currency.strip() not in ("", "Date") and value.strip() not in ("", "N/A"):
                yield row.get("Date", "").strip(), currency.strip(), value.strip()


# --- Checking ---------------------------------------------------------------------------------------------------------


def check_rates(published: Published, known: Rates, today: date) -> Checked:
    """What of the file can be stored. today: in Frankfurt. Raises RatesRefused where the file is not to be believed."""
    checked = Checked()
    _check_days(published, known, today, checked)
    _check_known_values(published, known, checked)
    days = sorted(published)
    for place, day in enumerate(days):
        following = published[days[place + 1]] if place + 1 < len(days) else {}
        doubtful = []
        for currency, value in sorted(published[day].items()):
            if known.published_on(currency, day) is not None:
                continue
            before = _value_before(published, known, days[:place], currency, day)
            if before and _jumps(value, *before, day) and not _confirms(following.get(currency), value):
                doubtful.append(f"{currency} moved from {before[0]} to {value} on {day}")
            else:
                checked.rows.append((currency, day, value))
        if len(doubtful) > MOST_DIFFERENT:
            raise RatesRefused(f"{doubtful[0]}, and {len(doubtful) - 1} more did so: the file is not believed.")
        checked.problems += [f"{move}: that is not used before a second day confirms it." for move in doubtful]
    return checked


def _check_days(published: Published, known: Rates, today: date, checked: Checked) -> None:
    listed = {name for name in shipped_currencies() | set(known.stored) if known.is_listed(name)}
    for day, values in published.items():
        if day > today or not is_business_day(day):
            raise RatesRefused(f"The file has rates of {day}, a day on which the ECB has published none.")
        is_recent = day > known.newest_day()
        if len(values) < FEWEST_CURRENCIES and (is_recent or len(values) < 3):
            raise RatesRefused(f"The file has only {len(values)} currencies on {day}: it is not whole.")
        missing = sorted(listed - set(values)) if is_recent else []
        if len(missing) > MOST_MISSING:
            raise RatesRefused(f"The file lacks {len(missing)} currencies on {day}: it is not whole.")
        if missing and day == max(published):
            checked.problems.append(f"The ECB's file no longer lists {' and '.join(missing)}.")
    newest = max(published)
    if is_old(newest, today):
        checked.problems.append(f"The file is late: its newest rates are of {newest}.")
    first = min(published)
    if is_old(known.newest_day(), first):
        checked.problems.append(
            f"Between {known.newest_day()} and {first} rates are missing. The ECB's full history (eurofxref-hist.zip)"
            " as the address of one fetch fills the gap."
        )


def _check_known_values(published: Published, known: Rates, checked: Checked) -> None:
    """A value that is known already must be the same: this tells another base, other units, or another file."""
    different, first = 0, ""
    for day in sorted(published, reverse=True):
        for currency, value in published[day].items():
            known_value = known.published_on(currency, day)
            if known_value is not None and known_value != value:
                different += 1
                first = first or f"{currency} on {day} is {value} there and {known_value} here"
    if different > MOST_DIFFERENT:
        raise RatesRefused(f"The file differs from rates that are known ({first}): it is not believed.")
    if different:
        checked.problems.append(f"The file differs from what is known: {first}. What is known stays in use.")


def _value_before(
    published: Published, known: Rates, earlier: list[date], currency: str, day: date
) -> tuple[Decimal, date] | None:
    """The newest rate before a day, of the file or known."""
    in_file = next(
        (
            (published[earlier_day][currency], earlier_day)
            for earlier_day in reversed(earlier)
            if currency in published[earlier_day]
        ),
        None,
    )
    stored = known.reference(currency, day - timedelta(days=1))
    return max(filter(None, (in_file, stored)), key=lambda pair: pair[1], default=None)


def _factor(rate: Decimal, other: Decimal) -> Decimal:
    return max(rate, other) / min(rate, other)


def _confirms(following: Decimal | None, value: Decimal) -> bool:
    return following is not None and _factor(value, following) <= MOST_DAILY_FACTOR


def _jumps(value: Decimal, before: Decimal, day_before: date, day: date) -> bool:
    most = MOST_FACTOR_AFTER_GAP if is_old(day_before, day) else MOST_DAILY_FACTOR
    return _factor(value, before) > most


# --- The daily job ----------------------------------------------------------------------------------------------------


def address_in_use() -> str:
    """Where rates are fetched from; empty: nowhere, nothing is called unasked."""
    return settings.ECB_RATES_URL or (ADDRESS if RateFetch.only().is_on else "")


def fetch_due(*, client: httpx.Client, now: datetime) -> str:
    """Fetch where that is due: what came of it, as a sentence; empty: nothing was due."""
    address = address_in_use()
    if not address or not RateFetch.claim(now, now + LEASE):
        return ""
    try:
        published = parse_rates(download(address, client))
        checked = check_rates(published, Rates(stored_series()), now.astimezone(FRANKFURT).date())
    except RatesRefused as error:
        RateFetch.objects.filter(pk=1).update(problem=error.text, due_at=now + TRY_AGAIN)
        return error.text
    rows = [ReferenceRate(currency=name, day=day, per_euro=value, stored_at=now) for name, day, value in checked.rows]
    ReferenceRate.objects.bulk_create(rows, ignore_conflicts=True, batch_size=2_000)
    newest, problem = max(published), " ".join(checked.problems)
    due_at = now + TRY_AGAIN if is_old(newest, now.astimezone(FRANKFURT).date()) else next_publication(now)
    RateFetch.objects.filter(pk=1).update(succeeded_at=now, newest_day=newest, problem=problem, due_at=due_at)
    return f"{len(checked.rows)} rates stored, the newest of {newest}. {problem}".strip()


def next_publication(now: datetime) -> datetime:
    """When the next file should be there: the half hour after four of the next business day in Frankfurt."""
    local = now.astimezone(FRANKFURT)
    day = local.date() if (local.hour, local.minute) < PUBLISHED_AT else local.date() + timedelta(days=1)
    while not is_business_day(day):
        day += timedelta(days=1)
    return datetime(day.year, day.month, day.day, *PUBLISHED_AT, tzinfo=FRANKFURT).astimezone(UTC)
