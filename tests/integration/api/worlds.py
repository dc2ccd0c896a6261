"""A workspace with a row of every kind that the API tells of."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

from django.utils import timezone

from editing.models import BulkEdit, BulkRow, Change
from jobs.models import Job
from reporting.models import (
    BillingPeriod,
    CommissionLine,
    Decision,
    EquityPoint,
    LogRecord,
    Payment,
    Statement,
    StatementItem,
    Transaction,
)
from subscribers.models import Stopout, SubscriberAccess
from tests import builders
from users.models import EventDelivery, EventEndpoint, Invitation, PortalEvent

PART = "part1"


def world(workspace, name: str, client=None, number: int = 1) -> SimpleNamespace:
    """One row of every kind, with words that only this workspace has; client: who may see the account.

    number: of the statement, which a workspace has once.
    """
    now = timezone.now()
    connection = builders.connection(workspace, name=f"{name} backend", token=f"secret-{name}.b.c")
    strategy = builders.strategy(
        connection,
        name=f"{name} strategy",
        scheme="amount-won",
        document={"name": f"{name} strategy", "secretToken": "x"},
    )
    member = {"strategyId": PART, "multiplier": 1}
    portfolio = None
    if number == 1:  # one of a workspace, so that its lists grow by one row with each further world
        combined = {"name": f"{name} portfolio", "members": [member]}
        portfolio = builders.strategy(connection, name=f"{name} portfolio", kind="portfolio", document=combined)
    account = builders.subscriber(
        connection,
        name=f"{name} account",
        access=client,
        equity=Decimal("1100.50"),
        balance=Decimal(1000),
        document={"name": f"{name} account", "password": f"secret-{name}", "subscriptions": [member]},
    )
    builders.subscription(account, strategy, first_seen_at=now, document={"multiplier": 2}, multiplier=2)
    own = {"workspace": workspace, "connection": connection}
    route = own | {"strategy_id": strategy.backend_id, "subscriber_id": account.backend_id}
    money = {"currency": "USD", "reporting_currency": "USD"}
    EquityPoint.objects.create(
        connection=connection, account_id=account.backend_id, time=now, balance=Decimal(1000), equity=Decimal("1100.5")
    )
    stopout = Stopout.objects.create(
        **own,
        subscriber=account,
        strategy=strategy,
        strategy_backend_id=strategy.backend_id,
        reason="day-balance",
        stopped_at=now,
        stopped_till=now + timedelta(hours=1),
    )
    transaction = Transaction.objects.create(
        **route,
        backend_id="d1",
        time=now,
        type="DEAL_TYPE_SELL",
        symbol="EURUSD",
        volume_lots=Decimal("0.10"),
        price=Decimal("1.1"),
        profit=Decimal("50.05"),
        swap=0,
        improvement=0,
        provider_commission=0,
        platform_commission=0,
    )
    decision = Decision.objects.create(
        **route,
        backend_id="d1",
        time=now,
        signal_id="g1",
        source_strategy_id=strategy.backend_id,
        symbol="EURUSD",
        subscriber_symbol="EURUSD",
        side="buy",
        outcome="copied",
        reason="copied",
        level="",
        final_lots=Decimal("0.1"),
        provider_lots=Decimal(7),
        text=f"{name} provider traded 7 lots",
    )
    LogRecord.objects.create(**route, time=now, level="INFO", message=f"{name} copied", digest="1")
    ends = now - timedelta(days=3)
    period = BillingPeriod.objects.create(
        **own, strategy_id=strategy.backend_id, period_start=now - timedelta(days=33), period_end=ends
    )
    closed_period = None
    if number == 1:  # as the portfolio
        closed_period = BillingPeriod.objects.create(
            **own,
            strategy_id=strategy.backend_id,
            period_start=now - timedelta(days=63),
            period_end=period.period_start,
            state="closed",
            closed_at=now,
        )
    # of the period that ended, and of the one that runs: what is owed now
    for key, start, end in (("d1", period.period_start, ends), ("d2", ends, now + timedelta(days=27))):
        CommissionLine.objects.create(
            **route,
            period_start=start,
            period_end=end,
            scheme="amount-won",
            key=f"deal:{key}",
            occurred_at=min(end, now),
            rate=Decimal("0.2"),
            exact_amount=Decimal("10.01"),
            amount=Decimal("10.01"),
            inputs={"deals": [key]},
            **money,
        )
    statement = Statement.objects.create(
        **own,
        subscriber_id=account.backend_id,
        number=number,
        workspace_name=workspace.name,
        subscriber_name=account.name,
        first_day=now.date(),
        last_day=now.date(),
        amount=10,
        due_on=now.date(),
        issued_at=now,
        **money,
    )
    StatementItem.objects.create(
        statement=statement,
        period=period,
        subscriber_id=account.backend_id,
        currency="USD",
        scheme="amount-won",
        strategy_name=strategy.name,
        lines=1,
        amount=10,
    )
    payment = Payment.objects.create(
        **own,
        subscriber_id=account.backend_id,
        received_on=now.date(),
        amount=1,
        currency="USD",
        settled=1,
        settled_currency="USD",
        rate=1,
        rate_day=now.date(),
        token=uuid.uuid4(),
        recorded_at=now,
    )
    change = Change.objects.create(
        **own,
        kind="subscriber",
        backend_id=account.backend_id,
        name=account.name,
        proposed_at=now,
        saved_at=now,
        sent_at=now,
        outcome="done",
        before={"name": "x"},
        after=account.document,
        summary=f"{name} changed",
    )
    person = builders.member(workspace, f"client{workspace.pk}n{number}", "subscriber")
    member = person.memberships.get()
    SubscriberAccess.objects.create(membership=member, subscriber=account)
    invitation = Invitation.objects.create(
        workspace=workspace,
        email=f"invited{number}@example.com",
        name=f"{name} invited",
        role="subscriber",
        token_digest=f"{workspace.pk}-{number}",
        created_at=now,
        sent_at=now,
        expires_at=now + timedelta(days=7),
    )
    endpoint = EventEndpoint.objects.create(
        workspace=workspace, name=f"{name} program", url="https://example.com/", secret=f"secret-{name}", created_at=now
    )
    event = PortalEvent.objects.create(workspace=workspace, kind="member.joined", body="{}", occurred_at=now)
    delivery = EventDelivery.objects.create(event=event, endpoint=endpoint, queued_at=now, due_at=now)
    if number > 1:  # one more of the first's, for the list below it
        first = EventEndpoint.objects.filter(workspace=workspace).earliest("pk")
        EventDelivery.objects.create(event=event, endpoint=first, queued_at=now, due_at=now)
    job = Job.objects.create(
        workspace=workspace, kind="close-periods", title=f"{name} closing", due_at=now, created_at=now
    )
    bulk = BulkEdit.objects.create(
        workspace=workspace, title=f"{name} bulk", request={"act": "set-ratio"}, proposed_at=now, started_at=now
    )
    BulkRow.objects.create(
        bulk=bulk,
        number=0,
        connection=connection,
        kind="subscriber",
        backend_id=account.backend_id,
        name=account.name,
        before={PART: {"multiplier": 1}},
        after={PART: {"multiplier": 2}},
        outcome="done",
    )
    return SimpleNamespace(
        workspace=workspace,
        connection=connection,
        strategy=strategy,
        account=account,
        stopout=stopout,
        transaction=transaction,
        decision=decision,
        period=period,
        closed_period=closed_period,
        statement=statement,
        payment=payment,
        change=change,
        portfolio=portfolio,
        bulk=bulk,
        member=member,
        invitation=invitation,
        endpoint=endpoint,
        delivery=delivery,
        job=job,
    )
