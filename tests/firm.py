"""A firm with one strategy and one subscriber, for tests of the ledger and its books."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import Sum

from reporting.commission.accounts import ClientAccount
from reporting.commission.closing import close_periods
from reporting.commission.payments import record_payment
from reporting.commission.recompute import recompute
from reporting.commission.services import accrue_workspace
from reporting.commission.statements import issue_statements
from reporting.models import (
    AccrualState,
    BillingPeriod,
    CommissionLine,
    CommissionPolicy,
    DailyResult,
    EquityPoint,
    SyncKind,
    SyncState,
    Transaction,
)
from tests import builders

D = Decimal
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
SCHEMES = ["flat-fee", "lots-traded", "lots-won", "amount-traded", "amount-won", "high-water-mark"]


class Firm:
    """One strategy with one subscriber, whose history a test writes deal by deal.

    Its fees rise without anybody's consent, unless the test says otherwise.
    """

    def __init__(self, scheme="amount-won", rate=0.2, billing_period="month", currency="USD", **workspace):
        self.workspace = builders.workspace(**{"asks_consent": False, **workspace})
        self.connection = builders.connection(self.workspace)
        document = {"commissionScheme": {"type": scheme, "commissionRate": rate, "billingPeriod": billing_period}}
        self.strategy = builders.strategy(self.connection, document=document)
        self.subscriber = builders.subscriber(self.connection, currency=currency)
        self.numbers = 0

    def deal(self, at, profit=0, *, lots="0.10", amount="1000", side="close", subscriber=None, number=None, **fields):
        """A copied deal, with the day marked as changed as the sync does it."""
        self.numbers += 1
        subscriber = subscriber or self.subscriber
        made, _ = Transaction.objects.update_or_create(
            connection=self.connection,
            subscriber_id=subscriber.backend_id,
            strategy_id=self.strategy.backend_id,
            backend_id=f"{self.numbers if number is None else number}:{side}",
            defaults={
                "workspace": self.workspace,
                "time": at,
                "type": "DEAL_TYPE_BUY",
                "position_id": "p1",
                "volume_lots": D(lots),
                "amount": D(amount),
                "profit": D(profit),
                "swap": D(0),
                "commission": D(0),
                "improvement": D(0),
                "provider_commission": D(0),
                "platform_commission": D(0),
                **fields,
            },
        )
        DailyResult.objects.update_or_create(
            connection=self.connection,
            subscriber_id=subscriber.backend_id,
            strategy_id=self.strategy.backend_id,
            day=at.date(),
            defaults={"workspace": self.workspace, "is_accrued": False},
        )
        return made

    def accrue(self, now=NOW):
        return accrue_workspace(self.workspace.pk, now)

    def change_scheme(self, **scheme):
        self.strategy.document = {"commissionScheme": self.strategy.document["commissionScheme"] | scheme}
        self.strategy.save()

    def complete_until(self, moment):
        SyncState.objects.update_or_create(
            connection=self.connection, kind=SyncKind.PROVIDED, defaults={"due_at": NOW, "complete_until": moment}
        )

    @property
    def lines(self):
        return CommissionLine.objects.filter(workspace=self.workspace).order_by("period_start", "occurred_at", "key")

    @property
    def total(self):
        return self.lines.aggregate(total=Sum("amount"))["total"] or D(0)

    def close(self, until, now=NOW, by=None):
        """Close everything that ended by `until`."""
        periods = BillingPeriod.objects.filter(workspace=self.workspace, period_end__lte=until)
        return close_periods(self.workspace, periods, now=now, by=by)

    def issue(self, until, now=NOW, **more):
        return issue_statements(self.workspace, until=until, due_on=now.date(), now=now, **more)

    def pay(self, amount, statement=None, currency=None, **more):
        currency = currency or self.subscriber.currency
        given = {"received_on": NOW.date(), "now": NOW, **more}
        return record_payment(
            self.workspace, self.account, amount=D(amount), currency=currency, statement=statement, **given
        )

    @property
    def account(self):
        return ClientAccount(
            self.workspace.pk, self.connection.pk, self.subscriber.backend_id, self.subscriber.currency
        )

    def amounts(self, **only):
        return [line.amount for line in self.lines.filter(**only)]

    def contents(self):
        """Everything of the ledger but the numbers of its rows, in an order that follows from the content."""
        hidden = ("id", "occurred_at")
        rows = [{k: v for k, v in row.items() if k not in hidden} for row in self.lines.values()]
        return sorted(rows, key=repr)

    def from_nothing(self, now=NOW):
        """Forget the ledger and compute it again."""
        self.lines.delete()
        AccrualState.objects.all().delete()
        DailyResult.objects.update(is_accrued=False)
        self.accrue(now)


class Fund(Firm):
    """A firm whose client has snapshots of its account."""

    def __init__(self, rate=0.2, length="month", start=datetime(2026, 1, 1, tzinfo=UTC), **choices):
        super().__init__("high-water-mark", rate, length)
        CommissionPolicy.objects.create(
            workspace=self.workspace,
            connection=self.connection,
            strategy_id=self.strategy.backend_id,
            name="own",
            choices=choices,
            created_at=start,
        )
        builders.subscription(self.subscriber, self.strategy, first_seen_at=start)

    def worth(self, moment, value, deposits=None, equity=None):
        EquityPoint.objects.create(
            connection=self.connection,
            account_id=self.subscriber.backend_id,
            time=moment,
            balance=D(value),
            equity=D(value if equity is None else equity),
            net_deposits=None if deposits is None else D(deposits),
        )

    def move(self, moment, amount, kind="DEAL_TYPE_BALANCE"):
        self.deal(moment, amount, type=kind, position_id="")

    def fees(self, now=datetime(2026, 6, 2, 10, tzinfo=UTC)):
        self.complete_until(now)
        self.accrue(now)
        assert all(recompute(line) == line.amount for line in self.lines)
        fees = [line.amount for line in self.lines]
        self.from_nothing(now)
        assert [line.amount for line in self.lines] == fees
        return fees


def at(month, day, hour=10):
    return datetime(2026, month, day, hour, tzinfo=UTC)
