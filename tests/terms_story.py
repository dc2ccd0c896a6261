"""A firm whose terms change while deals of its clients arrive late, doubled, corrected and in any order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from django.db.models import Sum

from editing.models import Change, ChangeOutcome
from reporting.commission.recompute import recompute
from reporting.models import BillingPeriod, CommissionLine, DailyResult, Transaction
from tests import builders, terms_oracle
from tests.firm import SCHEMES, D, Firm

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Auckland", "America/Sao_Paulo"]
LENGTHS = ["week", "month", "quarter"]
RATES = {
    "flat-fee": ["31", "90", "12.5"],
    "lots-traded": ["7", "3.33"],
    "lots-won": ["7", "6"],
    "amount-traded": ["0.001", "0.0005"],
    "amount-won": ["0.1", "0.3", "0.25"],
    "high-water-mark": ["0.2", "0.1", "0.5"],
}
START = datetime(2026, 1, 3, 7, 30, tzinfo=UTC)


class Story:
    """One firm whose terms change while deals of four clients arrive in any order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now = START + timedelta(minutes=self.random.randrange(100_000))
        zone = self.random.choice(ZONES)
        scheme, rate, length = self.some_terms()
        self.firm = Firm(scheme or "flat-fee", float(rate), length, timezone=zone)
        self.firm.subscriber.delete()
        self.stated = terms_oracle.StatedTerms([(None, scheme, rate, length)], [(None, zone)])
        self.closes = seed % 2 == 1
        self.closed = {}
        self.clients = []
        self.waiting = []
        for currency in [*terms_oracle.DIGITS] * 2:
            self.clients.append(
                (builders.subscriber(self.firm.connection, currency=currency), terms_oracle.Client(currency))
            )
        for pair in self.clients[:5]:
            self.join(pair)
        self.accrue()

    def some_terms(self):
        if self.random.random() < 0.12:
            return "", D(0), "month"
        scheme = self.random.choice(SCHEMES)
        return scheme, D(self.random.choice(RATES[scheme])), self.random.choice(LENGTHS)

    # --- what happens ---------------------------------------------------------------------------------------------
    def join(self, pair):
        subscriber, client = pair
        builders.subscription(subscriber, self.firm.strategy, first_seen_at=self.now)
        client.stays.append((self.now, None))
        self.plan_deals(pair)

    def plan_deals(self, pair):
        subscriber, client = pair
        for number in range(self.random.randrange(4, 14)):
            at = self.now + timedelta(seconds=self.random.randrange(200 * 86_400))
            if self.random.random() < 0.2:  # close to a midnight
                at = at.replace(hour=self.random.choice([0, 4, 5, 15, 22, 23]), minute=0, second=0)
            at = max(at, client.stays[0][0])
            opens = self.random.random() < 0.3
            net = D(0) if opens else D(self.random.randrange(-30_000, 45_000)) / 100
            lots, amount = D(self.random.randrange(1, 300)) / 100, D(self.random.randrange(100, 90_000))
            deal = (at, opens, lots, amount, net)
            arrives = at + timedelta(days=self.random.choice([0, 0, 0, 1, 9, 40, 90]), seconds=1)
            name = f"{subscriber.backend_id}-{number}"
            if self.random.random() < 0.25:
                wrong = (at, opens, lots + 1, amount * 2, D(0) if opens else net - D(self.random.randrange(-900, 900)))
                self.waiting.append((arrives, subscriber, client, name, wrong))
                arrives += timedelta(days=self.random.randrange(1, 70))
            self.waiting.append((arrives, subscriber, client, name, deal))
            if self.random.random() < 0.15:
                self.waiting.append(
                    (arrives + timedelta(days=self.random.randrange(1, 50)), subscriber, client, name, deal)
                )

    def deliver(self):
        due = [entry for entry in self.waiting if entry[0] <= self.now]
        self.waiting = [entry for entry in self.waiting if entry[0] > self.now]
        latest = {}
        for entry in sorted(due, key=lambda entry: entry[0]):
            latest[(entry[1].pk, entry[3])] = entry
        entries = list(latest.values())
        self.random.shuffle(entries)
        for entry in entries:
            entry[2].deals[entry[3]] = entry[4]
        self.write([(entry[1], entry[3], *entry[4]) for entry in entries])

    def write(self, rows):
        """As `Firm.deal`, many at once."""
        named = {"workspace": self.firm.workspace, "connection": self.firm.connection}
        strategy_id = self.firm.strategy.backend_id
        nothing = {
            name: D(0) for name in ("swap", "commission", "improvement", "provider_commission", "platform_commission")
        }
        deals = [
            Transaction(
                **named,
                **nothing,
                subscriber_id=subscriber.backend_id,
                strategy_id=strategy_id,
                time=at,
                profit=net,
                backend_id=f"{name}:{'open' if opens else 'close'}",
                type="DEAL_TYPE_BUY",
                position_id="p1",
                volume_lots=lots,
                amount=amount,
            )
            for subscriber, name, at, opens, lots, amount, net in rows
        ]
        days = {
            (subscriber.backend_id, at.date()): DailyResult(
                **named, subscriber_id=subscriber.backend_id, strategy_id=strategy_id, day=at.date(), is_accrued=False
            )
            for subscriber, _, at, *_ in rows
        }
        key = ["connection", "subscriber_id", "strategy_id", "backend_id"]
        Transaction.objects.bulk_create(
            deals, update_conflicts=True, unique_fields=key, update_fields=["profit", "volume_lots", "amount"]
        )
        DailyResult.objects.bulk_create(
            days.values(), update_conflicts=True, unique_fields=[*key[:3], "day"], update_fields=["is_accrued"]
        )

    def change_terms(self):
        scheme, rate, length = self.some_terms()
        newest = self.stated.terms[-1]
        if (scheme, rate, length) == newest[1:] or not (scheme or newest[1]):
            return
        document = {"commissionScheme": {"type": scheme, "commissionRate": float(rate), "billingPeriod": length}}
        self.firm.strategy.document = document if scheme else {}
        self.firm.strategy.save()
        since = self.choose_beginning()
        if not scheme:
            length = terms_oracle.begun(self.stated.terms, self.now)[-1][3]
        self.stated.terms = terms_oracle.decide(self.stated.terms, (since, scheme, rate, length), self.now)

    def choose_beginning(self):
        """From when the terms hold: seen at the backend, or as somebody chooses who saves them."""
        choice = self.random.choice(["backend", "now", "next", "date"])
        if choice == "backend":
            return self.now
        zones = self.stated.zones
        day = terms_oracle.local(self.now, terms_oracle.holds(zones, self.now)[1])
        day += timedelta(days=self.random.randrange(1, 50))
        self.save_change(self.firm.strategy.document, str(day) if choice == "date" else choice)
        if choice == "now":
            return self.now
        if choice == "date":
            return terms_oracle.midnight(day, terms_oracle.holds(zones, terms_oracle.midnight(day, zones[-1][1]))[1])
        known = terms_oracle.StatedTerms(terms_oracle.begun(self.stated.terms, self.now), zones)
        later = terms_oracle.boundaries(known, self.now, self.now + timedelta(days=200))
        return min(moment for moment in later if moment > self.now)

    def save_change(self, after, choice):
        Change.objects.create(
            workspace=self.firm.workspace,
            connection=self.firm.connection,
            kind="strategy",
            before={},
            after=after,
            backend_id=self.firm.strategy.backend_id,
            name="Alpine",
            proposed_at=self.now,
            saved_at=self.now,
            sent_at=self.now,
            outcome=ChangeOutcome.DONE,
            terms_from=choice,
        )

    def change_zone(self):
        zone = self.random.choice(ZONES)
        if zone == self.stated.zones[-1][1]:
            return
        since = terms_oracle.takeover(self.stated, zone, self.now)
        self.stated.zones = terms_oracle.decide(self.stated.zones, (since, zone), self.now)
        self.firm.workspace.timezone = zone
        self.firm.workspace.save()

    def leave_or_return(self):
        subscriber, client = self.random.choice(self.clients)
        if not client.stays:
            return self.join((subscriber, client))
        is_there = client.stays[-1][1] is None
        subscriber.subscriptions.update(is_removed=is_there)
        if is_there:
            client.stays[-1] = (client.stays[-1][0], self.now)
        else:
            client.stays.append((self.now, None))

    def close(self):
        self.firm.close(self.now, now=self.now)
        for period in BillingPeriod.objects.filter(closed_at__isnull=False):
            lines = CommissionLine.objects.filter(period_start=period.period_start, period_end=period.period_end)
            self.closed.setdefault(period.pk, list(lines.order_by("pk").values()))

    # --- what is looked at ----------------------------------------------------------------------------------------
    def accrue(self):
        self.firm.complete_until(self.now - timedelta(hours=self.random.choice([0, 0, 1, 30, 200])))
        self.firm.accrue(self.now)

    def run(self):
        for _ in range(self.random.randrange(7, 12)):
            self.now += timedelta(seconds=self.random.randrange(4 * 86_400, 26 * 86_400))
            self.deliver()
            self.random.choices(
                [self.change_terms, self.change_zone, self.leave_or_return, lambda: None], [8, 3, 3, 2]
            )[0]()
            self.accrue()
            if self.closes and self.random.random() < 0.5:
                self.close()
        self.now += timedelta(days=100)
        self.deliver()
        self.accrue()
        self.now += timedelta(days=3)
        self.accrue()

    def check(self):
        sums = self.sums()
        for subscriber, client in self.clients:
            expected = terms_oracle.owed(self.stated, client, self.now)
            assert sums.get(subscriber.backend_id, Decimal(0)) == expected, (client.currency, self.stated)
        lines = list(self.firm.lines)
        assert all(recompute(line) == line.amount for line in lines)
        assert all(line.policy["terms"] for line in lines)
        spans = sorted({(line.period_start, line.period_end) for line in lines})
        assert all(first[1] <= second[0] for first, second in pairwise(spans))
        assert not [line for line in lines if line.is_provisional and line.period_end <= self.now - timedelta(days=40)]
        self.check_closed()

    def check_closed(self):
        """Lines of closed periods are what they were when somebody closed them."""
        for pk, stored in self.closed.items():
            period = BillingPeriod.objects.get(pk=pk)
            now = CommissionLine.objects.filter(period_start=period.period_start, period_end=period.period_end)
            assert list(now.order_by("pk").values()) == stored

    def sums(self):
        rows = self.firm.lines.order_by().values("subscriber_id").annotate(total=Sum("amount"))
        return {row["subscriber_id"]: row["total"] for row in rows if row["total"]}
