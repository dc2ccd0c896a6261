"""A firm with rules of marks, rates by currency, consents and accounts on which money moves, all of it changing."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

from reporting.commission.accounts import ClientAccount
from reporting.commission.consent import record_answers
from reporting.commission.payments import record_payment
from reporting.commission.policy import Policy
from reporting.commission.setting import set_terms
from reporting.models import DailyResult, EquityPoint, Subject, TermsVersion, Transaction
from tests import owed_oracle, terms_oracle
from tests.agreed_oracle import STANDARD, Decision, Decisions
from tests.firm import D
from tests.marks_oracle import Money, Snapshot
from tests.terms_oracle import DIGITS
from tests.terms_story import LENGTHS, RATES, SCHEMES, ZONES, Story  # noqa: F401

DAY = timedelta(days=1)
WAYS = ["at the flow", "hourly only", "balance deals", "balance deals and snapshots"]
IN_MONEY = ("flat-fee", "lots-traded", "lots-won")


class AgreedStory(Story):
    """As `Story`, with everything that a high-water mark may depend on."""

    marks_share = 0.6

    def __init__(self, seed):
        self.money: dict[str, Money] = defaultdict(Money)
        self.account_events: list[tuple] = []
        self.decisions = Decisions()
        self.answered: set = set()
        super().__init__(seed)
        self.workspace = self.firm.workspace
        self.decisions.of["commission"] = [Decision(None, self.stated.terms[0][1:])]
        if self.random.random() < 0.7:
            self.set_rules(of_client=False, choice="now")
        self.workspace.asks_consent = self.random.random() < 0.6
        self.workspace.save()

    def some_terms(self):
        if self.random.random() < self.marks_share:
            return (
                "high-water-mark",
                D(self.random.choice(RATES["high-water-mark"])),
                self.random.choice(LENGTHS),
            )
        return super().some_terms()

    def some_rules(self):
        choose = self.random.choice
        hurdle = choose(["none", "none", "none", "soft", "hard"])
        return STANDARD | {
            "basis": choose(["profit", "equity"]),
            "floating": choose(["realised", "realised", "realised-and-floating", "realised-and-negative-floating"]),
            "new_mark": choose(["net", "gross"]),
            "withdrawal": choose(["absolute", "proportional"]),
            "crystallised": choose(["period-end", "withdrawal", "subscription-end"]),
            "loss_memory_periods": choose([None, None, 1, 2, 3]),
            "hurdle": hurdle,
            "hurdle_rate": choose(["0.01", "0.05", "0.3"]) if hurdle != "none" else "0",
        }

    # --- accounts -------------------------------------------------------------------------------------------------
    def join(self, pair):
        is_first = not pair[1].stays
        super().join(pair)
        if is_first:
            self.plan_account(pair)

    def plan_account(self, pair):
        """Snapshots, flows, bookings of an account for as long as a story lasts."""
        subscriber, client = pair
        way = self.random.choice(WAYS)
        has_deposits = way in ("at the flow", "hourly only")
        balance = D(self.random.randrange(5_000, 60_000))
        state = {"balance": balance, "deposits": balance, "credit": D(0)}
        events = [(deal[4][0], "result", deal[4][4]) for deal in self.waiting if deal[2] is client]
        at = self.now - timedelta(hours=self.random.choice([0, 1, 30]))
        events.append((at, "snapshot", None))
        end = self.now + 420 * DAY
        moment = at
        while (moment := moment + timedelta(seconds=self.random.randrange(3_600, 6 * 86_400))) < end:
            kind = self.random.choices(["snapshot", "result", "flow", "booking"], [10, 2, 2, 1])[0]
            if kind == "snapshot":
                moment = moment.replace(minute=0, second=0, microsecond=0)
            events.append((moment, kind, D(self.random.randrange(-3_000, 3_600))))
        for moment, kind, amount in sorted(events, key=lambda event: event[0]):
            if kind == "result":
                state["balance"] += amount
            elif kind == "flow":
                self.plan_flow(pair, way, moment, amount, state, has_deposits=has_deposits)
            elif kind == "booking":
                self.plan_booking(pair, moment, amount / 10, state)
            if kind == "snapshot" or (kind == "flow" and way in ("at the flow", "balance deals and snapshots")):
                floating = self.random.choice([D(0), D(self.random.randrange(-900, 900))])
                snapshot = Snapshot(
                    moment,
                    state["balance"],
                    state["balance"] + state["credit"] + floating,
                    state["deposits"] if has_deposits else None,
                )
                self.account_events.append((moment, subscriber, "snapshot", snapshot))

    def plan_flow(self, pair, way, moment, amount, state, *, has_deposits):
        subscriber, _ = pair
        amount = max(amount, -state["balance"] / 2)
        if not amount:
            return
        amount = amount.quantize(D(1))
        state["balance"] += amount
        state["deposits"] += amount
        if not has_deposits:
            self.account_events.append((moment, subscriber, "DEAL_TYPE_BALANCE", amount))
        if amount < 0 and self.random.random() < 0.3:
            day = moment.date() + timedelta(days=self.random.choice([-8, -7, -1, 0, 1, 7, 8]))
            self.account_events.append((moment, subscriber, "payment", (day, -amount)))

    def plan_booking(self, pair, moment, amount, state):
        subscriber, _ = pair
        kind = self.random.choice(["DEAL_TYPE_CREDIT", "DEAL_TYPE_BONUS", "DEAL_TYPE_CORRECTION"])
        amount = amount.quantize(D(1)) or D(1)
        if kind == "DEAL_TYPE_CREDIT":
            state["credit"] += amount
        else:
            state["balance"] += amount
            state["deposits"] += amount
        self.account_events.append((moment, subscriber, kind, amount))

    def deliver(self):
        super().deliver()
        due = [event for event in self.account_events if event[0] <= self.now]
        self.account_events = [event for event in self.account_events if event[0] > self.now]
        for number, (moment, subscriber, kind, what) in enumerate(sorted(due, key=lambda event: event[0])):
            money = self.money[subscriber.backend_id]
            if kind == "snapshot":
                if any(each.time == moment for each in money.snapshots):
                    continue
                money.snapshots.append(what)
                EquityPoint.objects.create(
                    connection=self.firm.connection,
                    account_id=subscriber.backend_id,
                    time=moment,
                    balance=what.balance,
                    equity=what.equity,
                    net_deposits=what.deposits,
                )
            elif kind == "payment":
                money.payments.append(what)
                account = ClientAccount(
                    self.firm.workspace.pk, self.firm.connection.pk, subscriber.backend_id, subscriber.currency
                )
                record_payment(
                    self.firm.workspace,
                    account,
                    amount=what[1],
                    currency=subscriber.currency,
                    received_on=what[0],
                    now=self.now + 30 * DAY,
                    statement=None,
                )
            else:
                money.bookings[f"{moment}-{number}"] = (moment, kind, what)
                self.book(subscriber, moment, kind, what)

    def book(self, subscriber, moment, kind, amount):
        named = {"workspace": self.firm.workspace, "connection": self.firm.connection}
        nothing = {
            name: D(0) for name in ("swap", "commission", "improvement", "provider_commission", "platform_commission")
        }
        strategy_id = self.firm.strategy.backend_id
        self.firm.numbers += 1
        Transaction.objects.create(
            **named,
            **nothing,
            subscriber_id=subscriber.backend_id,
            strategy_id=strategy_id,
            time=moment,
            profit=amount,
            backend_id=f"booking-{self.firm.numbers}",
            type=kind,
            position_id="",
        )
        DailyResult.objects.update_or_create(
            connection=self.firm.connection,
            subscriber_id=subscriber.backend_id,
            strategy_id=strategy_id,
            day=moment.date(),
            defaults={"workspace": self.firm.workspace, "is_accrued": False},
        )

    # --- decisions ------------------------------------------------------------------------------------------------
    def has_clients(self, subscriber_id=""):
        return any(
            client.stays and client.stays[-1][1] is None and subscriber_id in ("", subscriber.backend_id)
            for subscriber, client in self.clients
        )

    def change_terms(self):
        action = self.random.choices(["commission", "rules", "own rules", "rates"], [5, 4, 3, 2])[0]
        if action == "commission":
            before = self.stated.terms
            asks = self.workspace.asks_consent and self.has_clients()
            super().change_terms()
            if self.stated.terms is not before:
                since, scheme, rate, length = self.stated.terms[-1]
                decision = Decision(since, (scheme, rate, length), self.now, asks and bool(scheme))
                self.decisions.decide("commission", decision, self.now)
            return
        if action == "rates":
            self.set_rates()
        else:
            self.set_rules(of_client=action == "own rules")

    def set_rates(self):
        scheme = self.stated.terms[-1][1]
        if scheme not in IN_MONEY:
            scheme = "lots-won"
        rates = {
            currency: D(self.random.choice(RATES[scheme])) * self.random.choice([1, 2])
            for currency in DIGITS
            if self.random.random() < 0.5
        }
        stored = {"scheme": scheme, "rates": {currency: str(rate) for currency, rate in rates.items()}}
        self.save(Subject.RATES, "rates", (scheme, rates), stored)

    def set_rules(self, *, of_client, choice=""):
        subscriber_id = self.random.choice(self.clients[:5])[0].backend_id if of_client else ""
        rules = None if of_client and self.random.random() < 0.2 else self.some_rules()
        stored = Policy.parse(rules).serialise() if rules else {}
        subject = ("rules", subscriber_id) if of_client else "rules"
        self.save(Subject.POLICY, subject, rules, stored, subscriber_id, choice=choice)

    def save(self, subject, key, content, stored, subscriber_id="", choice=""):
        since, choice = self.beginning(choice or self.random.choice(["now", "next", "date"]))
        asks = self.workspace.asks_consent and self.has_clients(subscriber_id)
        row = set_terms(
            self.firm.strategy, subject, stored, choice=choice, by=None, now=self.now, subscriber_id=subscriber_id
        )
        assert row.valid_from == since, (choice, row.valid_from, since)
        self.decisions.decide(key, Decision(since, content, self.now, asks, row=row), self.now)

    def beginning(self, choice):
        zones = self.stated.zones
        if choice == "now":
            return self.now, choice
        if choice == "date":
            day = terms_oracle.local(self.now, terms_oracle.holds(zones, self.now)[1])
            day += timedelta(days=self.random.randrange(1, 50))
            zone = terms_oracle.holds(zones, terms_oracle.midnight(day, zones[-1][1]))[1]
            return terms_oracle.midnight(day, zone), str(day)
        later = terms_oracle.boundaries(self.stated, self.now, self.now + timedelta(days=200))
        return min(moment for moment in later if moment > self.now), choice

    def answer(self):
        """Some clients answer to what was decided on last about something."""
        subjects = [subject for subject, rows in self.decisions.of.items() if rows[-1].asks]
        if not subjects:
            return
        subject = self.random.choice(subjects)
        decision = self.decisions.of[subject][-1]
        row = decision.row or self.row_of(decision)
        if row is None:
            return
        for subscriber, client in self.clients:
            name, choice = subscriber.backend_id, self.random.random()
            own = subject[1] if isinstance(subject, tuple) else name
            is_asked = any(start <= decision.seen for start, _ in client.stays) and own == name
            if not is_asked or choice < 0.4:
                continue
            is_consent = choice > 0.5
            record_answers(row, [name], is_consent=is_consent, note="", by=None, now=self.now)
            if is_consent and name not in decision.consents:
                decision.consents[name] = max(self.now, decision.since)

    def row_of(self, decision):
        rows = TermsVersion.objects.filter(connection=self.firm.connection, subject=Subject.COMMISSION)
        row = rows.order_by("number").last()
        decision.row = row if row is not None and row.valid_from == decision.since else None
        return decision.row

    # --- the story ------------------------------------------------------------------------------------------------
    def run(self):
        for _ in range(self.random.randrange(8, 13)):
            self.now += timedelta(seconds=self.random.randrange(3 * 86_400, 24 * 86_400))
            self.deliver()
            actions = [self.change_terms, self.change_zone, self.leave_or_return, self.answer, lambda: None]
            self.random.choices(actions, [8, 2, 3, 4, 2])[0]()
            self.accrue()
            if self.closes and self.random.random() < 0.5:
                self.close()
        self.now += timedelta(days=100)
        self.deliver()
        self.accrue()
        self.now += timedelta(days=3)
        self.deliver()
        self.firm.complete_until(self.now)
        self.firm.accrue(self.now)

    def owed_by(self, subscriber, client) -> dict[datetime, Decimal]:
        name = subscriber.backend_id
        sums = owed_oracle.owed(self.stated, self.decisions, client, self.money[name], name, self.now)
        return {start: amount for start, amount in sums.items() if amount}

    def booked(self, subscriber) -> dict[datetime, Decimal]:
        """By the period that it is for, what is booked: an adjustment is for the period that it corrects."""
        sums: dict[datetime, Decimal] = defaultdict(Decimal)
        for line in self.firm.lines.filter(subscriber_id=subscriber.backend_id):
            corrected = line.inputs.get("corrects")
            start = datetime.fromisoformat(corrected["period_start"]) if corrected else line.period_start
            sums[start] += line.amount
        return {start: amount for start, amount in sums.items() if amount}
