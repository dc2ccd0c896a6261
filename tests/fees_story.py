"""A firm whose fees beside the commission change while deals and readings of its clients' accounts come in."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from reporting.commission.recompute import recompute
from reporting.commission.setting import set_terms
from reporting.models import EquityPoint, Subject
from tests import fees_oracle, terms_oracle
from tests.fees_oracle import Agreement
from tests.firm import SCHEMES, D
from tests.terms_story import LENGTHS, RATES, Story

DAY = timedelta(days=1)
UNIT = {"USD": D(1), "EUR": D(1), "JPY": D(100), "KWD": D("0.3")}


class FeesStory(Story):
    """One scheme for all the time; what changes are fees beside it, of the strategy and of single clients."""

    def __init__(self, seed):
        self.agreements: dict[str, Agreement] = defaultdict(Agreement)
        self.of_strategy: list = []
        self.points: list[tuple] = []
        super().__init__(seed)
        self.set_fees(choice="now")

    def some_terms(self):
        scheme = self.random.choice([*SCHEMES, "high-water-mark"])
        return scheme, D(self.random.choice(RATES[scheme])), self.random.choice(LENGTHS)

    def join(self, pair):
        is_first = not pair[1].stays
        super().join(pair)
        if is_first:
            self.plan_readings(pair)

    def plan_readings(self, pair):
        """The account is read some times on most days, on some never."""
        subscriber, client = pair
        value = D(self.random.randrange(500, 90_000)) * UNIT[client.currency]
        day = self.now.replace(hour=0, minute=0) - DAY
        for _ in range(330):
            day += DAY
            value += D(self.random.randrange(-90_000, 92_000)) / 100 * UNIT[client.currency]
            if self.random.random() < 0.15:
                continue
            for _ in range(self.random.choice([1, 1, 2])):
                at = day + timedelta(minutes=self.random.choice([0, 60, 240, 300, 720, 840, 1320, 1380]))
                self.points.append((at, subscriber, value))

    def deliver(self):
        due = {(at, subscriber.backend_id): value for at, subscriber, value in self.points if at <= self.now}
        self.points = [point for point in self.points if point[0] > self.now]
        for (at, subscriber_id), value in sorted(due.items()):
            self.agreements[subscriber_id].points.append((at, value))
        EquityPoint.objects.bulk_create(
            EquityPoint(connection=self.firm.connection, account_id=subscriber_id, time=at, balance=value, equity=value)
            for (at, subscriber_id), value in due.items()
        )
        super().deliver()

    # --- decisions ------------------------------------------------------------------------------------------------
    def change_terms(self):
        self.set_fees(client=self.random.choice(self.clients[:5]) if self.random.random() < 0.4 else None)

    def change_zone(self):
        self.set_fees()

    def some_fees(self, client):
        choose, content = self.random.choice, {}
        if self.random.random() < 0.6:
            content["management"] = choose(["0.02", "0.015", "0.1"])
        if self.random.random() < 0.4:
            content["discount"] = choose(["0.1", "0.333", "1"])
        if client is None and self.random.random() < 0.35:
            content["billing_period"] = choose(["day", "week", "month", "half-year", "year"])
        if self.random.random() < 0.4:
            content["trial_days"] = choose([1, 10, 45])
        for name, amounts in (("joining", [50, 99]), ("minimum", [10, 60, 300]), ("cap", [5, 20, 80])):
            if self.random.random() < 0.6:
                currencies = [currency for currency in UNIT if self.random.random() < 0.7]
                amount = choose(amounts)
                content[name] = {currency: str(amount * UNIT[currency]) for currency in currencies}
        if client is not None and self.random.random() < 0.5:
            scheme = self.stated.terms[0][1] if self.random.random() < 0.8 else choose(SCHEMES)
            content |= {"rate": choose(RATES[scheme]), "rate_scheme": scheme}
        return content

    def set_fees(self, *, client=None, choice=""):
        content = self.some_fees(client)
        if client is not None and self.random.random() < 0.2:
            content = {"follows": True}
        choice = choice or self.random.choice(["now", "next", "day"])
        if choice == "day":
            zone = self.stated.zones[0][1]
            choice = (terms_oracle.local(self.now, zone) + self.random.randrange(1, 50) * DAY).isoformat()
        version = set_terms(
            self.firm.strategy,
            Subject.FEES,
            content,
            choice=choice,
            by=None,
            now=self.now,
            subscriber_id=client[0].backend_id if client else "",
        )
        row = (version.valid_from, content, version.number)
        if client is None:
            self.of_strategy = fees_oracle.decide(self.of_strategy, row, self.now)
            self.state_lengths()
        else:
            agreement = self.agreements[client[0].backend_id]
            agreement.own = fees_oracle.decide(agreement.own, row, self.now)

    def state_lengths(self):
        """How periods are cut: by what the fees say, else by the settings."""
        first = self.stated.terms[0]
        self.stated.terms = [first]
        for since, content, _ in self.of_strategy:
            self.stated.terms.append((since, *first[1:3], content.get("billing_period", first[3])))

    # --- what is looked at ----------------------------------------------------------------------------------------
    def check(self):
        sums = self.sums()
        for subscriber, client in self.clients:
            agreement = self.agreements[subscriber.backend_id]
            agreement.of_strategy = self.of_strategy
            expected = fees_oracle.owed(self.stated, client, agreement, self.now)
            assert sums.get(subscriber.backend_id, Decimal(0)) == expected, (client.currency, self.stated, agreement)
        assert all(recompute(line) == line.amount for line in self.firm.lines)
        self.check_closed()
