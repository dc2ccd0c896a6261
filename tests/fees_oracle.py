"""What one client owes with fees beside the commission, day by day and deal by deal: an own account of the rules.

It shares no code with the ledger. Fees are rows (from, stored content, number) of the strategy and of the client.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

from tests.terms_oracle import Client, StatedTerms, boundaries, holds, local, midnight, rounded, whole_days

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
ZERO = Decimal(0)


@dataclass
class Agreement:
    """Fees by row (from, content, number), oldest first, of the strategy and of one client; equity as it was read."""

    of_strategy: list[tuple[datetime, dict, int]] = field(default_factory=list)
    own: list[tuple[datetime, dict, int]] = field(default_factory=list)
    points: list[tuple[datetime, Decimal]] = field(default_factory=list)

    def at(self, moment):
        """(content, number) of a moment."""
        for rows in (self.own, self.of_strategy):
            begun = [row for row in rows if row[0] <= moment]
            if begun and "follows" not in begun[-1][1]:
                return begun[-1][1], begun[-1][2]
        return {}, 0


def decide(rows, row, now):
    """The rows after another decision: what had not begun is called off."""
    return [*(other for other in rows if other[0] <= now and other[0] < row[0]), row]


def less(rate, discount):
    """A rate less a discount, to ten digits."""
    return (rate * (1 - discount)).quantize(Decimal("1e-10"), ROUND_HALF_UP) if discount else rate


class Account:
    """One client of a strategy with fixed scheme, rate and zone."""

    def __init__(self, stated: StatedTerms, client: Client, agreement: Agreement, now: datetime):
        (_, self.scheme, self.rate, _), zone = stated.terms[0], stated.zones[0][1]
        self.lengths = stated.terms
        self.client, self.agreement, self.now, self.zone = client, agreement, now, zone
        self.start = min([*(deal[0] for deal in client.deals.values()), *(start for start, _ in client.stays)])
        horizon = max([now, *(deal[0] + MOMENT for deal in client.deals.values())])
        self.starts = [m for m in boundaries(stated, self.start - 200 * DAY, horizon + 3 * DAY) if m < horizon]
        self.horizon = horizon
        trial = agreement.at(self.start)[0].get("trial_days", 0)
        self.free_until = midnight(local(self.start, zone) + trial * DAY, zone) if trial else self.start

    def period(self, moment):
        return max(start for start in self.starts if start <= moment)

    def last_moment(self, begin, end):
        """The day on which periods are cut belongs to the new one."""
        return max(begin, min(end, max(self.now, begin + MOMENT)) - MOMENT)

    def length(self, moment):
        return holds(self.lengths, moment)[3]

    def charged(self, moment):
        """(rate less discount, what distinguishes these terms) of the commission at a moment."""
        content, number = self.agreement.at(moment)
        is_own = "rate" in content and content["rate_scheme"] == self.scheme
        rate = Decimal(content["rate"]) if is_own else self.rate
        discount = Decimal(1) if moment < self.free_until else Decimal(content.get("discount", 0))
        return less(rate, discount), (rate, discount, number if is_own else None)

    def changes(self):
        """Moments at which the terms of the commission change for the client."""
        rows = [row[0] for row in (*self.agreement.of_strategy, *self.agreement.own)]
        return sorted(m for m in {*rows, self.free_until} if self.charged(m)[1] != self.charged(m - MOMENT)[1])

    def days(self):
        """Every day of a stay until now, (day, beginning, end)."""
        day = local(self.start, self.zone)
        while day <= local(self.now, self.zone):
            begin, end = midnight(day, self.zone), midnight(day + DAY, self.zone)
            for since, until in self.client.stays:
                if local(since, self.zone) <= day and (until is None or day <= local(until, self.zone)):
                    yield day, begin, end
                    break
            day += DAY

    # --- lines: (period, kind, amount) ----------------------------------------------------------------------------
    def deals(self):
        for at, opens, lots, amount, net in self.client.deals.values():
            quantity = {
                "lots-traded": abs(lots) if opens else ZERO,
                "amount-traded": abs(amount) if opens else ZERO,
                "lots-won": abs(lots) if not opens and net > 0 else ZERO,
                "amount-won": net if not opens and net > 0 else ZERO,
            }.get(self.scheme, ZERO)
            yield self.period(at), "deal", self.charged(at)[0] * quantity

    def fixed(self):
        counted = defaultdict(int)
        for day, begin, end in self.days():
            at = self.last_moment(begin, end)
            rate, terms = self.charged(at)
            counted[self.period(at), terms, rate, whole_days(day, self.length(at))] += 1
        for (period, _, rate, whole), days in counted.items():
            yield period, "fixed", rate * days / whole

    def equity(self, begin, end):
        read = [value for at, value in self.agreement.points if begin <= at < end and at <= self.now]
        return read[-1] if read else None

    def managed(self):
        """(end of a day, period, number of the terms, exact fee)."""
        for _, begin, end in self.days():
            content, number = self.agreement.at(end - MOMENT)
            value = self.equity(begin, end)
            if end > self.now or (begin < self.free_until and self.free_until > self.start) or value is None:
                continue
            rate = less(Decimal(content.get("management", 0)), Decimal(content.get("discount", 0)))
            if Decimal(content.get("management", 0)):
                yield end, self.period(end - MOMENT), number, rate * max(ZERO, value) / 365

    def marks(self):
        cuts = sorted({m for m in (*self.starts, *self.changes(), self.horizon) if self.start < m <= self.horizon})
        costs = [(end - MOMENT, fee) for end, _, _, fee in self.managed()]
        mark = total = ZERO
        begin = self.start
        for end in cuts:
            mark += sum((cost for at, cost in costs if begin <= at < end), ZERO)
            total += sum((deal[4] for deal in self.client.deals.values() if begin <= deal[0] < end), ZERO)
            if total > mark:
                yield self.period(begin), "mark", self.charged(begin)[0] * (total - mark)
                mark = total
            begin = end

    def joining(self):
        content, _ = self.agreement.at(self.start)
        amount = content.get("joining", {}).get(self.client.currency)
        if amount is not None:
            return rounded(less(Decimal(amount), Decimal(content.get("discount", 0))), self.client.currency)
        return ZERO

    def owed(self):
        """The sum of everything, each line rounded once."""
        currency, sums = self.client.currency, defaultdict(Decimal)
        charged = {"flat-fee": self.fixed, "high-water-mark": self.marks}.get(self.scheme, self.deals)
        for period, _, exact in charged():
            sums[period] += rounded(round(exact, 30), currency)
        managed = defaultdict(Decimal)
        for _, period, number, exact in self.managed():
            managed[period, number] += exact
        for (period, _), exact in managed.items():
            sums[period] += rounded(round(exact, 30), currency)
        days = defaultdict(int)
        wholes = {}
        for day, begin, end in self.days():
            period = self.period(self.last_moment(begin, end))
            wholes[period] = whole_days(day, self.length(period))
            days[period] += begin >= self.free_until or self.free_until == self.start
        total = self.joining()
        for period in {*sums, *(start for start in self.starts if start < self.now)}:
            content, _ = self.agreement.at(max(period, self.start))
            fees = sums[period]
            least, most = (content.get(name, {}).get(currency) for name in ("minimum", "cap"))
            if least is not None and days[period]:
                missing = Decimal(least) * days[period] / wholes[period] - fees
                fees += max(ZERO, rounded(round(missing, 30), currency))
            total += fees if most is None else min(fees, Decimal(most))
        return total


def owed(stated, client, agreement, now):
    """Everything that the client owes by `now`."""
    if not client.deals and not client.stays:
        return ZERO
    with localcontext() as context:
        context.prec = 60
        return Account(stated, client, agreement, now).owed()
