"""Generated histories of marks by all rules through the pure functions of the ledger, against an oracle.

A short sample runs always; `MARK_HISTORIES=250` runs eight times as many histories.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest

from reporting.commission.history import History, SpannedCalendar, TermsSpan, calendar_spans
from reporting.commission.moved_money import fees_among
from reporting.commission.parts import lines_of
from reporting.commission.periods import Calendar, PeriodLength
from reporting.commission.policy import Policy, Scheme, Terms
from reporting.commission.schemes import BilledSubscription, Deal, Lifetime, Valuation
from tests import marks_oracle
from tests.agreed_oracle import STANDARD, Agreed
from tests.marks_oracle import Money, Snapshot
from tests.terms_oracle import StatedTerms, boundaries, rounded

HISTORIES = 8 * int(os.environ.get("MARK_HISTORIES", "5"))
FIRST = 8 * int(os.environ.get("MARK_FIRST", "0"))
D = Decimal
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland"]
BOOKINGS = ["DEAL_TYPE_CREDIT", "DEAL_TYPE_BONUS", "DEAL_TYPE_CORRECTION"]


class MarkHistory:
    """One client whose rules change, on whose account money moves, and who leaves and comes back."""

    def __init__(self, seed, **fixed):
        self.random = random.Random(seed)
        self.zone = self.random.choice(ZONES)
        self.now = START + 300 * DAY
        self.stays = self.some_stays()
        first = self.stays[0][0]
        self.rows = self.some_rows(fixed)
        times = sorted(first + self.seconds(290) for _ in range(self.random.randrange(2, 25)))
        self.deals = [(at, D(self.random.randrange(-30_000, 36_000)) / 100) for at in times if at < self.now]
        self.money = Money()
        self.fill_account(first)

    def seconds(self, days):
        return timedelta(seconds=self.random.randrange(1, days * 86_400))

    def some_stays(self):
        stays, at = [], START + self.seconds(40)
        while at < self.now:
            end = at + self.seconds(150) if self.random.random() < 0.5 else None
            stays.append((at, end if end is None or end < self.now else None))
            if stays[-1][1] is None:
                break
            at = end + self.seconds(60)
        return stays

    def some_rows(self, fixed):
        rows, since = [], None
        for _ in range(self.random.choice([1, 1, 2, 3, 4])):
            choose = self.random.choice
            scheme = "high-water-mark" if fixed or self.random.random() < 0.85 else "lots-won"
            rows.append(
                Agreed(
                    since,
                    scheme,
                    D(choose(["0.1", "0.2", "0.5"])),
                    choose(["week", "month", "quarter"]),
                    self.some_rules() | fixed,
                )
            )
            if fixed:
                break
            since = max(since or START, START) + self.seconds(120)
        return rows

    def some_rules(self):
        choose = self.random.choice
        hurdle = choose(["none", "none", "soft", "hard"])
        return STANDARD | {
            "basis": choose(["profit", "equity"]),
            "floating": choose(["realised", "realised-and-floating", "realised-and-negative-floating"]),
            "new_mark": choose(["net", "gross"]),
            "withdrawal": choose(["absolute", "proportional"]),
            "crystallised": choose(["period-end", "withdrawal", "subscription-end"]),
            "loss_memory_periods": choose([None, None, 1, 2, 3]),
            "hurdle": hurdle,
            "hurdle_rate": choose(["0.01", "0.05", "0.3"]) if hurdle != "none" else "0",
        }

    def fill_account(self, first):
        """Snapshots at the flows or hourly only, with net deposits or with deals."""
        has_deposits, at_flows = self.random.random() < 0.5, self.random.random() < 0.5
        balance = deposits = D(self.random.randrange(3_000, 60_000))
        credit = D(0)
        events = [(first - timedelta(hours=self.random.choice([0, 5])), "snapshot", D(0))]
        events += [(at, "result", net) for at, net in self.deals]
        for kind, most in (("snapshot", 120), ("result", 20), ("flow", 14), ("booking", 6)):
            for _ in range(self.random.randrange(most)):
                at = first + self.seconds(300)
                at = at.replace(minute=0, second=0) if self.random.random() < 0.5 else at
                events.append((at, kind, D(self.random.randrange(-3_000, 3_500))))
        for number, (at, kind, amount) in enumerate(sorted(events, key=lambda event: event[0])):
            if kind == "result":
                balance += amount
            elif kind == "flow":
                amount = max(amount, -balance // 2)
                balance, deposits = balance + amount, deposits + amount
                if not has_deposits:
                    self.money.bookings[str(number)] = (at, "DEAL_TYPE_BALANCE", amount)
                if amount < 0 and self.random.random() < 0.3:
                    day = at.date() + timedelta(days=self.random.choice([-8, -7, 0, 7, 8]))
                    self.money.payments.append((day, -amount))
            elif kind == "booking":
                booked, amount = self.random.choice(BOOKINGS), amount // 10
                self.money.bookings[str(number)] = (at, booked, amount)
                if booked == "DEAL_TYPE_CREDIT":
                    credit += amount
                else:
                    balance, deposits = balance + amount, deposits + amount
            if kind == "snapshot" or (kind == "flow" and at_flows):
                if any(each.time == at for each in self.money.snapshots):
                    continue
                floating = self.random.choice([D(0), D(self.random.randrange(-900, 900))])
                equity = balance + credit + floating
                self.money.snapshots.append(Snapshot(at, balance, equity, deposits if has_deposits else None))

    # --- both computations ----------------------------------------------------------------------------------------
    def expected(self):
        """By period, the sum of rounded fees as the oracle has them."""
        terms = [(row.since, row.scheme, row.rate, row.length) for row in self.rows]
        stated = StatedTerms(terms, [(None, self.zone)])
        starts = boundaries(stated, START - 200 * DAY, self.now + 2 * DAY)
        client = marks_oracle.Client(
            agreed=self.rows,
            starts=starts,
            deals=self.deals,
            stays=self.stays,
            money=self.money,
            now=self.now,
            zone_at=lambda moment: self.zone,
            length_at=lambda moment: client.terms_at(moment).length,
        )
        sums = defaultdict(D)
        with localcontext() as context:
            context.prec = 60
            for fee in client.fees():
                sums[max(start for start in starts if start <= fee.start)] += rounded(round(fee.exact, 30), "USD")
        return {start: amount for start, amount in sums.items() if amount}

    def subscription(self):
        deals = [Deal(f"{number}:close", at, False, D(1), D(1), net) for number, (at, net) in enumerate(self.deals)]
        flows = self.money.flows()
        started_at = min([self.stays[0][0], *(at for at, _ in self.deals)])
        bookings = sorted(self.money.bookings.values())
        return BilledSubscription(
            "USD",
            started_at,
            self.stays[-1][1],
            deals,
            flows,
            sorted(Valuation(each.time, each.balance, each.equity) for each in self.money.snapshots),
            lifetimes=[Lifetime(*stay) for stay in self.stays],
            credits=[(at, amount) for at, kind, amount in bookings if kind == "DEAL_TYPE_CREDIT"],
            fee_payments=fees_among(flows, sorted(self.money.payments)),
        )

    def charged(self, **changed):
        """By period, what the ledger's functions charge by the mark."""
        spans = tuple(
            TermsSpan(
                row.since,
                Terms(Scheme(row.scheme), row.rate, PeriodLength(row.length), Policy.parse(row.rules | changed)),
                PeriodLength(row.length),
            )
            for row in self.rows
        )
        calendar = SpannedCalendar.of(calendar_spans(spans, [(None, Calendar(self.zone))]))
        lines = lines_of(
            History(spans),
            self.subscription(),
            calendar,
            now=self.now,
            since=None,
            settled_until=None,
            only=frozenset({Scheme.HIGH_WATER_MARK}),
        )
        sums = defaultdict(D)
        for line in lines:
            assert line.exact_amount >= 0
            sums[line.period.start] += line.amount
        return {start: amount for start, amount in sums.items() if amount}


@pytest.mark.parametrize("part", range(8))
def test_marks_are_charged_as_the_oracle_says(part):
    for seed in range(FIRST + part, FIRST + HISTORIES, 8):
        history = MarkHistory(seed)
        assert history.charged() == history.expected(), seed


def test_the_whole_fee_is_at_most_the_rate_on_the_highest_profit():
    for seed in range(FIRST, FIRST + HISTORIES):
        history = MarkHistory(seed, basis="profit", floating="realised", new_mark="net", loss_memory_periods=None)
        total = peak = D(0)
        for _, net in history.deals:
            total += net
            peak = max(peak, total)
        fees = history.charged()
        assert sum(fees.values()) <= history.rows[0].rate * peak + D("0.005") * 40, seed


@pytest.mark.parametrize("basis", ["profit", "equity"])
def test_a_minimum_return_only_lowers_what_is_owed(basis):
    """By a net mark. By a gross one a fee that was put off comes without an earlier one to be earned back."""
    for seed in range(FIRST, FIRST + HISTORIES):
        history = MarkHistory(seed, basis=basis, new_mark="net", hurdle="soft", hurdle_rate="0.3")
        without = sum(history.charged(hurdle="none", hurdle_rate="0").values())
        soft, hard = sum(history.charged().values()), sum(history.charged(hurdle="hard").values())
        assert hard <= soft + D("0.2"), seed
        assert soft <= without + D("0.2"), seed


def test_a_longer_memory_of_losses_only_lowers_what_is_owed():
    for seed in range(FIRST, FIRST + HISTORIES):
        history = MarkHistory(seed, basis="profit", new_mark="net", hurdle="none", hurdle_rate="0")
        sums = [sum(history.charged(loss_memory_periods=memory).values()) for memory in (1, 2, 4, None)]
        assert all(longer <= shorter + D("0.2") for shorter, longer in pairwise(sums)), seed
