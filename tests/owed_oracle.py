"""What one client owes by billing period, by all schemes and whatever it agreed on: an own account of the rules."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from tests import marks_oracle, terms_oracle
from tests.agreed_oracle import Agreed, Decisions, agreed
from tests.terms_oracle import StatedTerms, boundaries, holds, local, midnight, rounded, whole_days

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
FOREVER = datetime.max.replace(tzinfo=UTC)


def owed(
    stated: StatedTerms,
    decisions: Decisions,
    client: terms_oracle.Client,
    money: marks_oracle.Money,
    name: str,
    now: datetime,
) -> dict[datetime, Decimal]:
    """By start of the billing period, the sum of rounded fees. name: the client's id; stated: how periods are cut."""
    sums: dict[datetime, Decimal] = defaultdict(Decimal)
    if not client.deals and not client.stays:
        return sums
    first = min([*(deal[0] for deal in client.deals.values()), *(start for start, _ in client.stays)])
    starts = boundaries(stated, first - 200 * DAY, now + 3 * DAY)
    rows = agreed(decisions, name, client.currency, [start for start, _ in client.stays])
    with localcontext() as context:
        context.prec = 60
        fees = [*_of_deals(rows, client), *_of_days(stated, rows, starts, client, now)]
        fees += [(fee.start, fee.exact) for fee in _of_marks(stated, rows, starts, client, money, now)]
        for at, exact in fees:  # shares are quotients: what is a half to thirty digits is a half
            sums[max(start for start in starts if start <= at)] += rounded(round(exact, 30), client.currency)
    return sums


def _row_at(rows: list[Agreed], moment: datetime) -> Agreed:
    return [row for row in rows if row.since is None or row.since <= moment][-1]


def _of_deals(rows, client):
    for at, opens, lots, amount, net in client.deals.values():
        terms = _row_at(rows, at)
        quantity = {
            "lots-traded": abs(lots) if opens else Decimal(0),
            "amount-traded": abs(amount) if opens else Decimal(0),
            "lots-won": abs(lots) if not opens and net > 0 else Decimal(0),
            "amount-won": net if not opens and net > 0 else Decimal(0),
        }.get(terms.scheme, Decimal(0))
        yield at, terms.rate * quantity


def _of_marks(stated, rows, starts, client, money, now):
    return marks_oracle.Client(
        agreed=rows,
        starts=starts,
        deals=[(deal[0], deal[4]) for deal in client.deals.values()],
        stays=client.stays,
        money=money,
        zone_at=lambda moment: holds(stated.zones, moment)[1],
        length_at=lambda moment: holds(stated.terms, moment)[3],
        now=now,
    ).fees()


def _of_days(stated, rows, starts, client, now):
    """Fixed fees: a day of a stay belongs to the newest terms that charge on it; summed up by period and terms."""
    if not client.stays:
        return
    parts: dict[tuple, list] = {}
    day = min(local(start, "Pacific/Auckland") for start, _ in client.stays) - 3 * DAY
    today = local(now, holds(stated.zones, now)[1])
    while day <= today:
        begin, end = _span_of_day(stated, day)
        if terms_oracle._is_there(stated, client, day):
            end = min(end, max(now, begin + MOMENT))
            row, until = _charging(rows, begin, end)
            if row is not None and row.scheme == "flat-fee":
                # the day on which periods are cut belongs to the new one
                period = max(start for start in starts if start < min(end, until))
                part = parts.setdefault((row.number, period), [period, row.rate, Fraction(0)])
                part[2] += Fraction(1, whole_days(day, row.length))
        day += DAY
    for at, rate, share in parts.values():
        yield at, rate * share.numerator / share.denominator


def _span_of_day(stated, day: date) -> tuple[datetime, datetime]:
    zone = terms_oracle._zone_of_day(stated, day)
    following = terms_oracle._zone_of_day(stated, day + DAY)
    return midnight(day, zone), min(midnight(day + DAY, each) for each in (zone, following))


def _charging(rows: list[Agreed], begin: datetime, end: datetime) -> tuple[Agreed | None, datetime]:
    """The newest row with a scheme that holds at some time in [begin, end), and until when it does."""
    newest, newest_until = None, FOREVER
    for place, row in enumerate(rows):
        until = rows[place + 1].since if place + 1 < len(rows) else FOREVER
        if row.scheme and (row.since is None or row.since < end) and until > begin:
            newest, newest_until = row, until
    return newest, newest_until
