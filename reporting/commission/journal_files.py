"""The journal as files for bookkeeping programs: a plain text file that beancount reads, and DATEV's booking batches.

Both are made of an export alone, so the same export is the same bytes whenever it is asked for. No amount is converted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date
from decimal import Decimal

from reporting.bookkeeping import JournalExport
from reporting.commission.journal import Booking, BookingPart
from reporting.commission.money import EXACT, MINOR_DIGITS, minor_unit

# --- beancount --------------------------------------------------------------------------------------------------------
BEANCOUNT_CURRENCY = re.compile(r"[A-Z][A-Z0-9'._-]*[A-Z0-9]")


def beancount_file(export: JournalExport, bookings: Iterable[Booking]) -> bytes:
    """Double-entry text in UTF-8. It opens its accounts itself, where it is not included by a file that does."""
    head = [
        f"; {export}: {export.first_day} to {export.last_day}, days of {export.zone}",
        f'option "title" "{export}"',
        'plugin "beancount.plugins.auto_accounts"',
    ]
    names = export.accounts["names"]
    return "\n\n".join(["\n".join(head), *(_transaction(names, booking) for booking in bookings), ""]).encode()


def _transaction(names: dict[str, str], booking: Booking) -> str:
    link = f" ^{booking.document}" if booking.document else ""
    lines = [f"{booking.day} * {_quoted(booking.party)} {_quoted(booking.text)}{link}", f'  entry: "{booking.key}"']
    if booking.own_day != booking.day:
        lines.append(f"  own-day: {booking.own_day}")
    return "\n".join([*lines, *(f"  {names[part.role]}  {_posted(part)}" for part in booking.parts)])


def _posted(part: BookingPart) -> str:
    """An amount; money in another currency with what it counts as."""
    if part.paid is None:
        return _amount(part.amount, part.currency)
    return f"{_amount(*part.paid)} @@ {_amount(abs(part.amount), part.currency)}"


def _amount(amount: Decimal, currency: str) -> str:
    if not BEANCOUNT_CURRENCY.fullmatch(currency):
        raise ValueError(f"beancount cannot read the currency {currency!r}")
    return f"{EXACT.quantize(amount, minor_unit(currency)):f} {currency}"


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- DATEV ------------------------------------------------------------------------------------------------------------
# source: DATEV-Format, booking batch (Buchungsstapel), version 13 of format 700; columns up to the text of a booking
COLUMNS = (
    "Umsatz (ohne Soll/Haben-Kz)",
    "Soll/Haben-Kennzeichen",
    "WKZ Umsatz",
    "Kurs",
    "Basis-Umsatz",
    "WKZ Basis-Umsatz",
    "Konto",
    "Gegenkonto (ohne BU-Schlüssel)",
    "BU-Schlüssel",
    "Belegdatum",
    "Belegfeld 1",
    "Belegfeld 2",
    "Skonto",
    "Buchungstext",
)
MOST_AMOUNT = Decimal("9999999999.99")
LONGEST_TEXT, LONGEST_DOCUMENT = 60, 36


def fiscal_year(day: date, begins: int) -> int:
    """The year in which the fiscal year of a day begins. begins: its first month."""
    return day.year if day.month >= begins else day.year - 1


def datev_batches(export: JournalExport, bookings: Iterable[Booking]) -> list[tuple[str, int]]:
    """(currency, fiscal year) of each file: a batch has one currency, and its days carry no year.

    None where no advisor and client are entered. Currencies with more than two decimals have none: the format has no
    place for them.
    """
    if not (export.accounts["advisor"] and export.accounts["client"]):
        return []
    begins = export.accounts["year_begins"]
    batches = {
        (part.currency, fiscal_year(booking.day, begins))
        for booking in bookings
        for part in booking.parts
        if MINOR_DIGITS.get(part.currency, 2) <= 2
    }
    return sorted(batches)


def datev_file(export: JournalExport, bookings: Sequence[Booking], currency: str, year: int) -> bytes:
    """One booking batch in Windows-1252: a line for each account that stands against the first of a booking.

    Raises ValueError for a currency or an amount that the format cannot hold.
    """
    begins = export.accounts["year_begins"]
    own = [
        booking
        for booking in bookings
        if booking.parts[0].currency == currency and fiscal_year(booking.day, begins) == year
    ]
    lines = [";".join(_head(export, currency, year)), ";".join(COLUMNS)]
    lines += [";".join(row) for booking in own for row in _rows(export, booking)]
    return "".join(f"{line}\r\n" for line in lines).encode("cp1252")


def _head(export: JournalExport, currency: str, year: int) -> list[str]:
    """The 31 fields of the first line."""
    accounts = export.accounts
    begins = date(year, accounts["year_begins"], 1)
    ends = date(year + 1, accounts["year_begins"], 1)
    first, last = max(export.first_day, begins), min(export.last_day, date.fromordinal(ends.toordinal() - 1))
    moment = export.made_at.astimezone(UTC)
    return [
        '"EXTF"',
        "700",
        "21",
        '"Buchungsstapel"',
        "13",
        f"{moment:%Y%m%d%H%M%S}{moment.microsecond // 1000:03d}",
        "",
        '""',
        '""',
        '""',
        str(accounts["advisor"]),
        str(accounts["client"]),
        f"{begins:%Y%m%d}",
        str(accounts["account_digits"]),
        f"{first:%Y%m%d}",
        f"{last:%Y%m%d}",
        _text(str(export)),
        '""',
        "1",
        "0",
        "0",
        f'"{currency}"',
        "",
        '""',
        "",
        "",
        '""',
        "",
        "",
        '""',
        '""',
    ]


def _rows(export: JournalExport, booking: Booking) -> Iterator[list[str]]:
    first, *others = booking.parts
    numbers = export.accounts["numbers"]
    for part in others:
        side = "S" if part.amount < 0 else "H"  # of the first account, which stands against this one
        yield [
            _datev_amount(part),
            f'"{side}"',
            f'"{part.currency}"',
            "",
            "",
            '""',
            numbers[first.role],
            numbers[part.role],
            '""',
            f"{booking.day:%d%m}",
            _document(booking),
            '""',
            "",
            _booking_text(booking),
        ]


def _datev_amount(part: BookingPart) -> str:
    amount = abs(part.amount)
    if MINOR_DIGITS.get(part.currency, 2) > 2 or amount > MOST_AMOUNT:
        raise ValueError(f"DATEV's format cannot hold {amount} {part.currency}")
    return f"{amount:.2f}".replace(".", ",")


def _document(booking: Booking) -> str:
    """The number of the document, in the letters that the field takes."""
    return '"' + re.sub(r"[^0-9A-Za-z_$%/-]", "-", booking.document or booking.key)[:LONGEST_DOCUMENT] + '"'


def _booking_text(booking: Booking) -> str:
    """What it is and whose; letters that the file cannot hold are left out with the words that have them."""
    words = " ".join(
        word
        for word in f"{booking.text}, {booking.party}".split()
        if word.encode("cp1252", "ignore").decode("cp1252") == word
    )
    return _text(words)


def _text(text: str) -> str:
    return '"' + text[:LONGEST_TEXT].replace('"', "'") + '"'
