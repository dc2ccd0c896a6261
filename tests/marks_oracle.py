"""Fees by a high-water mark, whatever its rules: an own account of `docs/commissions.md`, "High-water mark".

It shares no code with the ledger. A mark is a level (what was reached when it was last looked at) and the losses below
it that must be earned back, in order; everything is summed up anew from the whole history for every step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from tests.terms_oracle import is_first_day, local

MOMENT = timedelta(microseconds=1)
ZERO = Decimal(0)
YEAR_S = Decimal(31_536_000)


@dataclass
class Snapshot:
    """Balance and equity of an account, with the money paid in less paid out so far, where the backend says it."""

    time: datetime
    balance: Decimal
    equity: Decimal
    deposits: Decimal | None = None


@dataclass
class Money:
    """What else happened on an account.

    bookings: deals of other types as (time, type, amount). payments: (day, amount).
    """

    snapshots: list[Snapshot] = field(default_factory=list)
    bookings: dict[str, tuple[datetime, str, Decimal]] = field(default_factory=dict)
    payments: list[tuple[date, Decimal]] = field(default_factory=list)

    def flows(self, *, credits: bool = False) -> list[tuple[datetime, Decimal]]:
        """Deposits, withdrawals and what a broker books; with `credits` those too."""
        measured = [each for each in self.snapshots if each.deposits is not None]
        if measured:
            steps = pairwise(sorted(measured, key=lambda each: each.time))
            flows = [(after.time, after.deposits - before.deposits) for before, after in steps]
        else:
            kinds = ("DEAL_TYPE_BALANCE", "DEAL_TYPE_BONUS", "DEAL_TYPE_CORRECTION")
            flows = [(at, amount) for at, kind, amount in self.bookings.values() if kind in kinds]
        if credits:
            flows += self._credits()
        return sorted(flow for flow in flows if flow[1])

    def _credits(self):
        return [(at, amount) for at, kind, amount in self.bookings.values() if kind == "DEAL_TYPE_CREDIT"]

    def fee_times(self) -> set[datetime]:
        """Withdrawals that paid a fee: a payment of that amount was recorded within seven days; one for each."""
        left, times = sorted(self.payments), set()
        for at, amount in self.flows():
            for payment in left:
                if payment[1] == -amount and abs((payment[0] - at.date()).days) <= 7:
                    left.remove(payment)
                    times.add(at)
                    break
        return times

    def newest(self, moment: datetime) -> Snapshot | None:
        known = [each for each in self.snapshots if each.time <= moment]
        return max(known, key=lambda each: each.time, default=None)

    def value(self, moment: datetime, floating: str) -> Decimal | None:
        """Account value just before `moment`: what the newest snapshot says, with the money that moved since.

        A snapshot of that very moment has the money that moved then: that is taken off.
        """
        snapshot = self.newest(moment)
        if snapshot is None:
            return None
        value = {
            "realised": snapshot.balance,
            "realised-and-floating": snapshot.equity,
            "realised-and-negative-floating": snapshot.balance + min(ZERO, self._floating(snapshot)),
        }[floating]
        counts_credits = floating == "realised-and-floating"
        for at, amount in self.flows(credits=counts_credits):
            if snapshot.time < at < moment:
                value += amount
            if snapshot.time == at == moment:
                value -= amount
        return value

    def _floating(self, snapshot: Snapshot) -> Decimal:
        credit = sum((amount for at, amount in self._credits() if at <= snapshot.time), ZERO)
        return snapshot.equity - snapshot.balance - credit

    def floating(self, moment: datetime, kind: str) -> Decimal:
        """The result of open positions just before `moment`, as a mark counts it."""
        snapshot = self.newest(moment)
        if snapshot is None or kind == "realised":
            return ZERO
        floating = self._floating(snapshot)
        return floating if kind == "realised-and-floating" else min(ZERO, floating)


@dataclass
class Mark:
    """level: what was reached and paid for; losses: [period, amount] to be earned back first, oldest first.

    Losses of a time in which none was forgotten are of period None, until there is a limit: they age from there on.
    """

    level: Decimal
    set_at: datetime
    losses: list[list] = field(default_factory=list)
    periods: int = 0

    @property
    def height(self) -> Decimal:
        return self.level + sum((amount for _, amount in self.losses), ZERO)

    def move(self, amount: Decimal, equity: Decimal | None, rule: str, *, is_fee: bool) -> None:
        """Money comes or goes."""
        if amount > 0 or is_fee or rule == "absolute":
            self.level += amount
            return
        share = max(ZERO, equity + amount) / equity if equity is not None and equity > 0 else ZERO
        self.level *= share
        self.losses = [[of, loss * share] for of, loss in self.losses]

    def reach(self, measured: Decimal) -> Decimal:
        """Go to what was measured: the gain that is left when losses were earned back, oldest first."""
        gain = measured - self.level
        if gain < 0:
            self.losses.append([self.periods + 1, -gain])
            gain = ZERO
        left = []
        for of, loss in self.losses:
            repaid = min(gain, loss) if measured > self.level else ZERO
            gain -= repaid
            if loss > repaid:
                left.append([of, loss - repaid])
        self.losses = left
        self.level = measured - gain  # what is left of the gain counts on until it is paid for
        return gain

    def forget(self, memory: int | None) -> None:
        present = self.periods + 1
        if memory is None:
            self.losses = [[None, loss] for _, loss in self.losses]
        else:
            aged = [[present if of is None else of, loss] for of, loss in self.losses]
            self.losses = [[of, loss] for of, loss in aged if present - of <= memory]


@dataclass
class Fee:
    """What a step of a mark owes: exact. start: of the step, end: when it was measured."""

    start: datetime
    end: datetime
    exact: Decimal


class Client:
    """One client whose fees by a mark are worked out.

    agreed: what it pays by (`agreed_oracle.agreed`), oldest first. starts: of the strategy's billing periods, in order.
    deals: (time, net). stays: (from, to or None). zone_at: the billing zone of a moment. length_at: of the strategy.
    """

    def __init__(self, *, agreed, starts, deals, stays, money, zone_at, length_at, now):
        self.agreed, self.starts, self.deals, self.money = agreed, starts, deals, money
        self.stays, self.zone_at, self.length_at = stays, zone_at, length_at
        self.horizon = max([now, *(at + MOMENT for at, _ in deals)])
        self.begun = min([*(at for at, _ in deals), *(start for start, _ in stays)], default=None)
        self.marks: dict[str, Mark] = {}
        self._seen_until: dict[str, datetime] = {}

    def terms_at(self, moment):
        return [row for row in self.agreed if row.since is None or row.since <= moment][-1]

    def fees(self) -> list[Fee]:
        """Every step with a mark, in order."""
        if self.begun is None:
            return []
        fees, running = [], None
        for start, end, ends_period in self._steps():
            terms = self.terms_at(start)
            rules = terms.rules
            if terms.scheme != "high-water-mark" or (rules["basis"] == "equity" and not self._is_there(start)):
                running = None
                continue
            if running != rules["basis"]:
                self._begin(rules, start)
            running = rules["basis"]
            fee = self._step(terms, start, end, ends_period=ends_period)
            if fee is not None:
                fees.append(Fee(start, end, fee))
        return fees

    def _steps(self):
        """(from, to, whether a billing period ends there) of everything that is measured at once."""
        changes = {row.since for before, row in pairwise(self.agreed) if self._differs(before, row)}
        periods = {moment for moment in self.starts if self.begun < moment < self.horizon}
        cuts = periods | {moment for moment in changes if self.begun < moment < self.horizon} | {self.horizon}
        for moment in self._own_moments():
            if self.begun < moment < self.horizon:
                cuts.add(moment)
        start = self.begun
        for end in sorted(cuts):
            yield start, end, end in periods or end == self.horizon
            start = end

    def _is_there(self, moment):
        """Whether the client copies the strategy: a little longer than it does, for its last deal."""
        first = self.begun if self.stays else moment
        stays = [(min(first, start) if not number else start, end) for number, (start, end) in enumerate(self.stays)]
        return any(start <= moment and (end is None or moment <= end) for start, end in stays)

    @staticmethod
    def _differs(before, after):
        names = ("scheme", "rate", "length", "rules")
        return any(getattr(before, name) != getattr(after, name) for name in names)

    def _own_moments(self):
        """Withdrawals and ends of subscriptions at which a fee is due."""
        paid = self.money.fee_times()
        for at, amount in self.money.flows():
            terms = self.terms_at(at - MOMENT)
            is_due = terms.scheme == "high-water-mark" and terms.rules["crystallised"] == "withdrawal"
            if amount < 0 and at not in paid and is_due:
                yield at
        for start, end in self.stays:
            if self.terms_at(start).rules["basis"] == "equity":  # of an account that goes on without the strategy
                yield start
            if end is not None:
                rules = self.terms_at(end).rules
                if "subscription-end" in rules["crystallised"] or rules["basis"] == "equity":
                    yield end + MOMENT

    def _measured(self, rules, moment):
        if rules["basis"] == "equity":
            return self.money.value(moment, rules["floating"])
        total = sum((net for at, net in self.deals if at < moment), ZERO)
        return total + self.money.floating(moment, rules["floating"])

    def _begin(self, rules, start):
        """A mark begins at the result of that moment; one that goes on is lifted by gains made meanwhile."""
        measured, mark = self._measured(rules, start), self.marks.get(rules["basis"])
        if mark is None:
            if measured is not None:
                self.marks[rules["basis"]] = Mark(measured, start)
            return
        if measured is not None:
            self._move(mark, rules, self._seen_until.get(rules["basis"], start), start)
            if measured > mark.height:
                mark.level, mark.losses, mark.set_at = measured, [], start

    def _move(self, mark, rules, start, end):
        """Money that came and went in [start, end) moves a mark on account value."""
        if rules["basis"] != "equity":
            return
        paid = self.money.fee_times()
        for at, amount in self.money.flows(credits=rules["floating"] == "realised-and-floating"):
            if start <= at < end:
                equity = self.money.value(at, rules["floating"])
                mark.move(amount, equity, rules["withdrawal"], is_fee=amount < 0 and at in paid)

    def _step(self, terms, start, end, *, ends_period):
        rules = terms.rules
        mark = self.marks.get(rules["basis"])
        if mark is None:
            return None
        self._move(mark, rules, start, end)
        self._seen_until[rules["basis"]] = end
        if not self._is_due(terms, start, end, ends_period=ends_period):
            return None
        measured = self._measured(rules, end)
        mark.forget(rules["loss_memory_periods"])
        hurdle = self._hurdle(rules, mark, start, end)
        gain = mark.reach(measured)
        fee = ZERO
        if gain > hurdle:
            fee = terms.rate * (gain - hurdle if rules["hurdle"] == "hard" else gain)
            mark.level += gain
            mark.set_at = end
            if rules["new_mark"] == "gross" and fee:
                mark.losses.append([mark.periods + 1, fee])
        if rules["loss_memory_periods"] is None:
            mark.losses = [[None, loss] for _, loss in mark.losses]
        if ends_period:
            mark.periods += 1
        return fee

    def _hurdle(self, rules, mark, start, end):
        if rules["hurdle"] == "none":
            return ZERO
        base = mark.height
        if rules["basis"] == "profit":
            base = self.money.value(start, "realised-and-floating") or ZERO
        seconds = Decimal((end - mark.set_at) // MOMENT) / 1_000_000
        return max(ZERO, base) * Decimal(rules["hurdle_rate"]) * seconds / YEAR_S

    def _is_due(self, terms, start, end, *, ends_period):
        """A client that did not agree to another length pays in the period in which one of its own ends."""
        if not ends_period or terms.length == self.length_at(start):
            return True
        first = max((moment for moment in self.starts if moment <= start), default=start)
        following = min((moment for moment in self.starts if moment > start), default=end)
        day, last = local(first, self.zone_at(first)), local(following, self.zone_at(following))
        while day < last:
            day += timedelta(days=1)
            if is_first_day(day, terms.length):
                return True
        return False
