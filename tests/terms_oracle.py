"""What is owed under changing terms, worked out day by day and deal by deal: an own account of the rules.

It shares no code with the ledger: local days are counted one by one, periods are looked for by their first day, and
nothing is remembered from one computation to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
DIGITS = {"USD": 2, "EUR": 2, "JPY": 0, "KWD": 3}


@dataclass
class StatedTerms:
    """Everything that is known of a strategy: terms as (from, scheme or "", rate, length), zones as (from, zone)."""

    terms: list[tuple[datetime | None, str, Decimal, str]]
    zones: list[tuple[datetime | None, str]]


@dataclass
class Client:
    """One account: its deals by id as (time, opens, lots, amount, net), and when it was there."""

    currency: str
    deals: dict[str, tuple[datetime, bool, Decimal, Decimal, Decimal]] = field(default_factory=dict)
    stays: list[tuple[datetime, datetime | None]] = field(default_factory=list)


def holds(rows, moment):
    """The row of `moment`; of two from the same moment the later one."""
    fitting = [row for row in rows if row[0] is None or row[0] <= moment]
    return max(enumerate(fitting), key=lambda pair: (pair[1][0] is not None, pair[1][0] or 0, pair[0]))[1]


def begun(rows, now):
    """Rows that have begun: whoever decides anew calls off the others."""
    return [row for row in rows if row[0] is None or row[0] <= now]


def decide(rows, row, now):
    """The rows after another one was decided on."""
    return [*(other for other in begun(rows, now) if other[0] is None or other[0] < row[0]), row]


def is_first_day(day, length):
    if length == "week":
        return day.weekday() == 6
    months = {"month": range(1, 13), "quarter": (1, 4, 7, 10), "half-year": (1, 7), "year": (1,)}
    return length == "day" or (day.day == 1 and day.month in months[length])


def whole_days(day, length):
    """Days of the undisturbed period that `day` is in."""
    first = day
    while not is_first_day(first, length):
        first -= DAY
    last = day + DAY
    while not is_first_day(last, length):
        last += DAY
    return (last - first).days


def midnight(day, zone):
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def local(moment, zone):
    return moment.astimezone(ZoneInfo(zone)).date()


def takeover(stated, zone, seen):
    """Where another zone begins to cut: its midnight of the day after the running period's last one."""
    stated = StatedTerms(stated.terms, begun(stated.zones, seen))
    starts = boundaries(stated, seen - 200 * DAY, seen + 200 * DAY)
    for start in starts:
        if start <= seen:
            continue
        day = local(start, holds(stated.zones, start)[1])
        if midnight(day, zone) > seen:
            return midnight(day, zone)
    raise AssertionError("no period ends")


def boundaries(stated, start, end):
    """Every moment at which a period begins."""
    starts = set()
    for number, (since, zone) in enumerate(stated.zones):
        until = stated.zones[number + 1][0] if number + 1 < len(stated.zones) else end
        last = local(until, stated.zones[number + 1][1]) if number + 1 < len(stated.zones) else date.max
        day = local(max(start, since or start), zone) - 2 * DAY
        while day <= local(min(until, end), zone) + 2 * DAY:
            moment = midnight(day, zone)
            inside = (since or start) <= moment < until and day < last
            if inside and is_first_day(day, holds(stated.terms, moment)[3]):
                starts.add(moment)
            day += DAY
        if since is not None:
            starts.add(since)
    for before, after in zip(stated.terms, stated.terms[1:], strict=False):
        if before[3] != after[3]:
            starts.add(after[0])
    return sorted(starts)


def rounded(amount, currency):
    return amount.quantize(Decimal(1).scaleb(-DIGITS[currency]), ROUND_HALF_UP)


def owed(stated, client, now):
    """The sum of everything that the client owes by `now`."""
    with localcontext() as context:
        context.prec = 60
        fees = [*_deals(stated, client), *_marks(stated, client, now), *_days(stated, client, now)]
        return sum((rounded(fee, client.currency) for fee in fees), Decimal(0))


def _deals(stated, client):
    for at, opens, lots, amount, net in client.deals.values():
        _, scheme, rate, _ = holds(stated.terms, at)
        if scheme == "lots-traded" and opens:
            yield rate * abs(lots)
        elif scheme == "amount-traded" and opens:
            yield rate * abs(amount)
        elif scheme == "lots-won" and not opens and net > 0:
            yield rate * abs(lots)
        elif scheme == "amount-won" and not opens and net > 0:
            yield rate * net


def _marks(stated, client, now):
    """Fees on new profit: measured at every boundary and change of terms while the scheme is in force."""
    if not client.deals and not client.stays:
        return
    horizon = max([now, *(deal[0] + timedelta(microseconds=1) for deal in client.deals.values())])
    begun = min([*(deal[0] for deal in client.deals.values()), *(stay[0] for stay in client.stays)])
    moments = {m for m in boundaries(stated, begun - 200 * DAY, horizon) if m < horizon}
    moments |= {row[0] for row in stated.terms if row[0] is not None and row[0] < horizon} | {horizon}
    moments = sorted(m for m in moments if m > begun)
    mark = total = None
    start, was_measured = begun, False
    for end in moments:
        _, scheme, rate, _ = holds(stated.terms, start)
        gained = sum((d[4] for d in client.deals.values() if start <= d[0] < end), Decimal(0))
        if scheme != "high-water-mark":
            total = None if total is None else total + gained
            was_measured = False
        else:
            if total is None:
                total = mark = Decimal(0)
            elif not was_measured:
                mark = max(mark, total)
            total += gained
            if total > mark:
                yield rate * (total - mark)
                mark = total
            was_measured = True
        start = end


def _days(stated, client, now):
    """Fixed fees: every day of a stay belongs to the newest terms that charge on it; summed up by period and terms."""
    sums: dict[tuple, list] = {}
    first = min((local(start, "Pacific/Auckland") for start, _ in client.stays), default=None)
    day = first - 3 * DAY if first else None
    starts = boundaries(stated, min(s for s, _ in client.stays) - 200 * DAY, now + DAY) if client.stays else []
    while day is not None and day <= local(now, "Pacific/Auckland") + DAY:
        zone = _zone_of_day(stated, day)
        begin, end = (
            midnight(day, zone),
            min(midnight(day + DAY, each) for each in (zone, _zone_of_day(stated, day + DAY))),
        )
        if day <= local(now, holds(stated.zones, now)[1]) and _is_there(stated, client, day):
            charging = [
                (number, row)
                for number, row in enumerate(stated.terms)
                if row[1]
                and (row[0] is None or row[0] < min(end, max(now, begin + timedelta(microseconds=1))))
                and _until(stated.terms, number) > begin
            ]
            if charging and charging[-1][1][1] == "flat-fee":
                number, row = charging[-1]
                at = max(begin, row[0] or begin)
                period = max((s for s in starts if s <= at), default=None)
                sums.setdefault((number, period), [row[2], 0, whole_days(day, row[3])])[1] += 1
        day += DAY
    for rate, days, whole in sums.values():
        yield rate * days / whole


def _until(rows, number):
    return rows[number + 1][0] if number + 1 < len(rows) else datetime.max.replace(tzinfo=UTC)


def _zone_of_day(stated, day):
    """The zone that a day is counted in: the newest one whose takeover is not after its own midnight of the day."""
    zone = stated.zones[0][1]
    for since, name in stated.zones[1:]:
        if since <= midnight(day, name):
            zone = name
    return zone


def _is_there(stated, client, day):
    for start, end in client.stays:
        zone_then = holds(stated.zones, start)[1]
        last = date.max if end is None else local(end, holds(stated.zones, end)[1])
        if local(start, zone_then) <= day <= last:
            return True
    return False
