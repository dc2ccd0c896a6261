"""Every page of the portal asks the database as often when there are many rows as when there are few.

The addresses come from the urlconf: a new page below an address that is known here is tried without being named. What
takes an object is given one that has rows of every kind. Pages are asked with an empty cache, as the owner.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from reporting import equity_sums
from reporting.commission.accounts import ClientAccount
from reporting.commission.approving import request_run
from reporting.commission.book_jobs import CLOSE
from reporting.commission.closing import close_periods
from reporting.commission.disputing import open_dispute
from reporting.commission.document_lines import lines_of
from reporting.commission.journal_exports import export_journal, first_day_to_export, take_export_back
from reporting.commission.mailing import send_document
from reporting.commission.payments import record_payment
from reporting.commission.services import accrue_workspace
from reporting.commission.statements import issue_statements
from reporting.models import (
    BillingPeriod,
    ClientRecord,
    Decision,
    Dispute,
    EquityPoint,
    JournalExport,
    LogRecord,
    OpenPosition,
    OpenTrade,
    Statement,
    SyncKind,
    SyncState,
)
from reporting.open_sums import rebuild
from tests import builders
from tests.all_pages import NOT_ASKED, address_of, addresses, routes
from tests.integration.conftest import make_deal, make_stopout
from users.models import Mail, User

pytestmark = pytest.mark.django_db
MOST = 20  # of any page; most take 5 to 20
FEW, MANY = 1, 30
BRANCHES = 2  # a page may ask about one thing more where there is more to say; six rows more would be six questions
# lists and filters that have an address of their own
MORE = (
    "/commissions/?by=subscriber",
    "/commissions/?by=subscriber&q=account",
    "/transactions/?subscriber=account",
    "/transactions/?symbol=EURUSD",
    "/transactions/totals/?symbol=EURUSD",
    "/decisions/?outcome=skipped",
    "/subscribers/?state=copying",
    "/strategies/results/?ids={strategies}",
    "/subscribers/results/?ids={subscribers}",
    "/overview/equity.json?range=1W&as=table",
    "/search/?q=account",
    "/stopouts/?state=active",
    "/jobs/?state=failed",
    "/commissions/statements/?state=due",
    "/positions/?subscriber=account",
    "/positions/all/?q=account",
    "/trading-accounts/?role=provider&q=account",
    "/positions/cells/?ids={signal}",
    "/positions/all/cells/?ids={position}",
)
OF_CLIENTS = ("/me/", "/me/agreements/", "/me/decisions/", "/me/positions/", "/me/statements/", "/transactions/")
# pages with more than MOST questions, and why
MANY_QUESTIONS = {
    "/": "every line of Attention is a question of its own, when its answers are not at hand",
    "/me/": "it holds what all other pages of an account hold",
}
# routes that are pages or may be, and are not counted here: why
BACKEND = "it asks the backend first"
SHORT = "a form about one object, shown where that object is in a certain state; it has no list"
NOT_COUNTED = {
    "changes/": "reviews of a change: tests/integration/editing counts them",
    "accounts/": "of one person's own sign-in: no list that grows",
    "brand/<str:colour>.css": "asks the database nothing",
    "brand/logo/<str:digest>.png": "a file",
    "commissions/agents/": SHORT,
    "commissions/changes/<int:pk>/": "leads to the strategy's terms",
    "commissions/issue/preview/": "a PDF of one statement that is not written",
    "commissions/payments/new/": SHORT,
    "commissions/refunds/new/": SHORT,
    "commissions/terms/<int:pk>/consent/": SHORT,
    "jobs/<int:pk>/file/": "a file",
    "jobs/line/": "leads to a job",
    "me/accounts/": SHORT,
    "me/leaving/<int:pk>/": SHORT,
    "settings/agreements/versions/<int:pk>/": SHORT,
    "settings/events/": SHORT,
    "statements/<int:pk>/lines/<int:line_pk>/dispute/": SHORT,
    "strategies/<int:pk>/members/": BACKEND,
    "strategies/<int:pk>/signals/<str:signal_id>/": BACKEND,
    "subscribers/<int:pk>/resynchronise/": BACKEND,
    "subscribers/<int:pk>/subscriptions/<str:strategy_id>/": BACKEND,
    "subscribers/bulk/<int:pk>/": "reviews of a change: tests/integration/editing counts them",
    "trading-accounts/choices/": BACKEND,
    "trading-accounts/servers/": BACKEND,
}


def addresses_of(firm: SimpleNamespace) -> Iterator[str]:
    """Every address that can be asked for without further knowledge, and lists and filters that have their own."""
    yield from addresses(vars(firm))
    numbers = {name: ",".join(map(str, getattr(firm, name)[:20])) for name in ("strategies", "subscribers")}
    yield from (address.format(**(vars(firm) | numbers)) for address in MORE)


@pytest.fixture
def firm(business, alice):
    """A business that grows: everything that lists show, of as many strategies and accounts as one says."""
    numbers = itertools.count(1)
    SyncState.objects.create(
        connection=business.connection, kind=SyncKind.EQUITY, due_at=business.now, cursor={equity_sums.CURSOR_KEY: True}
    )
    grown = SimpleNamespace(strategies=[], subscribers=[], workspace=business.workspace)

    def grow(until: int) -> SimpleNamespace:
        while len(grown.subscribers) < until:
            add_account(business, grown, next(numbers), alice)
        accrue_workspace(business.workspace.pk, business.now)
        # the newest stays open: closing a later one would close it as well, and the page to close would be empty
        ended = BillingPeriod.objects.filter(period_end__lte=business.now, closed_at=None).order_by("-period_end", "pk")
        close_periods(business.workspace, list(ended[1:]), now=business.now)
        issue_statements(business.workspace, until=business.now, due_on=business.now.date(), now=business.now)
        payments = [pay(business, statement) for statement in Statement.objects.order_by("pk")]
        grown.payment = payments[0].pk
        grown.mail = mail_statements(business.workspace)
        grown.export = export_everything(business.workspace)
        grown.dispute = dispute_everything(business.workspace)
        grown.approval = ask_for_approval(alice)
        assert equity_sums.follow_members(business.connection, save=lambda: None)
        grown.statement, grown.period = Statement.objects.earliest("pk").pk, BillingPeriod.objects.earliest("pk").pk
        rebuild(business.connection, is_list=True)
        grown.position = OpenPosition.objects.earliest("pk").pk
        grown.signal = OpenTrade.objects.get(strategy_id="alpine").pk
        grown.decision, grown.job = Decision.objects.earliest("pk").pk, Job.objects.earliest("pk").pk
        return grown

    grown.connection, grown.stopout = business.connection.pk, business.active.pk
    grown.strategy, grown.strategy_id = business.alpine.pk, business.alpine.backend_id
    grown.subscriber = business.hers.pk
    grown.account = builders.broker_account(business.connection, backend_id=business.hers.backend_id).pk
    grown.member = business.workspace.memberships.get(user__email="bob@example.com").pk
    return grow


def mail_statements(workspace) -> int:
    """Each statement was mailed to its client; returns one of the mails."""
    for statement in Statement.objects.filter(workspace=workspace, mails=None).select_related("subscriber"):
        ClientRecord.objects.get_or_create(subscriber=statement.subscriber, defaults={"email": "c@example.com"})
        send_document(statement, now=timezone.now())
    return Mail.objects.order_by("pk")[0].pk


def ask_for_approval(owner) -> int:
    """Closing waits for a second person, one more request for each strategy; returns the one for everything."""
    asker, now = owner.memberships.select_related("workspace", "user").get(), timezone.now()
    parameters = {"until": now.isoformat()}
    for strategy in asker.workspace.strategies.order_by("pk"):
        scope = {"connection_id": strategy.connection_id, "strategy_id": strategy.backend_id}
        request_run(asker, CLOSE, title=strategy.name, parameters=parameters | scope, origin="/", now=now)
    return request_run(asker, CLOSE, title="All", parameters=parameters, origin="/", now=now)[0].pk


def dispute_everything(workspace) -> int:
    """Every line of a statement is in dispute; returns the first dispute."""
    for statement in Statement.objects.filter(workspace=workspace, kind="statement").order_by("pk"):
        for line in lines_of(statement).order_by("pk"):
            if not Dispute.objects.filter(line=line).exists():
                open_dispute(statement, line, reason="Not mine", now=timezone.now())
    return Dispute.objects.earliest("pk").pk


def export_everything(workspace) -> int:
    """All of the books is in one export of the journal."""
    for export in JournalExport.objects.valid().filter(workspace=workspace):
        take_export_back(export, now=timezone.now())
    first, later = first_day_to_export(workspace), timezone.now() + timedelta(days=1)
    return export_journal(workspace, first_day=first, last_day=timezone.now().date(), now=later).pk


def pay(business, statement):
    paid = record_payment(
        business.workspace,
        ClientAccount.of(statement),
        amount=Decimal(1),
        currency=statement.currency,
        received_on=business.now.date(),
        statement=statement,
        now=business.now,
        reference="wire",
    )
    return paid.payment


def add_account(business, grown, number: int, asker) -> None:
    """An account with a strategy of its own, which copies the known one too, and something of every kind."""
    now, linked = business.now, business.connection
    scheme = {"commissionScheme": {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.1}}
    own = builders.strategy(linked, backend_id=f"grown{number}", scheme="amount-won", document=scheme)
    account = builders.subscriber(linked, name=f"Grown account {number}", equity=1000, balance=900)
    builders.broker_account(linked, backend_id=account.backend_id, is_provider=True, is_subscriber=True)
    builders.strategy(linked, account_id=business.hers.backend_id)
    for strategy in (own, business.alpine):
        builders.subscription(account, strategy, first_seen_at=builders.LONG_AGO)
        for days in (0, 40, 75):
            deal = f"{account.pk}-{strategy.pk}-{days}:close"
            make_deal(account, strategy, deal, now - timedelta(days=days, hours=1))
    person = builders.member(business.workspace, f"grown{number}", "subscriber")
    account.accesses.create(membership=person.memberships.get())
    make_stopout(account, now, stopped_till=now + timedelta(hours=3), strategy=own)
    for owner in (account, business.hers):
        row = {"workspace": business.workspace, "connection": linked, "time": now - timedelta(minutes=number)}
        ids = {"subscriber_id": owner.backend_id, "strategy_id": "alpine"}
        LogRecord.objects.create(**row, **ids, level="INFO", message="Copied", digest=f"{owner.pk}-{number}")
        Decision.objects.create(
            **row,
            **ids,
            backend_id=f"{owner.pk}.{number}",
            signal_id="signal",
            source_strategy_id="alpine",
            symbol="EURUSD",
            subscriber_symbol="EURUSD",
            side="buy",
            outcome="skipped",
            reason="tiny-trade",
            level="",
        )
        EquityPoint.objects.update_or_create(
            connection=linked,
            account_id=owner.backend_id,
            time=now - timedelta(hours=number),
            defaults={"equity": 1000 + number, "balance": 900},
        )
    for strategy, signal in ((own, "own"), (business.alpine, "signal")):
        OpenTrade.objects.get_or_create(
            workspace=business.workspace,
            connection=linked,
            strategy_id=strategy.backend_id,
            signal_id=signal,
            defaults={"symbol": f"EUR{number:03}", "side": "buy", "state": "open", "opened_at": now},
        )
        OpenPosition.objects.create(
            workspace=business.workspace,
            connection=linked,
            subscriber_id=account.backend_id,
            symbol=f"EUR{number:03}",
            position_id=f"{account.pk}-{signal}",
            strategy_id=strategy.backend_id,
            signal_id=signal,
            side="buy",
            source_strategy_id=strategy.backend_id,
            lots=1,
            open_price=1,
            swap=0,
            commission=0,
            opened_at=now,
            changed_at=now,
        )
    Job.objects.create(
        workspace=business.workspace,
        kind="export",
        title=f"Grown {number}",
        state="failed",
        asked_by=asker,
        due_at=timezone.now(),
        created_at=timezone.now(),
        key=f"grown-{number}",
    )
    grown.strategies.append(own.pk)
    grown.subscribers.append(account.pk)


def queries_of(client, address: str) -> tuple[int, list[str]]:
    """(status, what the database was asked) of a page with an empty cache."""
    cache.clear()
    with CaptureQueriesContext(database) as queries:
        status = client.get(address).status_code
    return status, [query["sql"] for query in queries]


def shapes(queries: list[str]) -> dict[str, int]:
    """How often the database was asked each question, whatever the values were."""
    counts: dict[str, int] = {}
    for sql in queries:
        shape = re.sub(r"'[^']*'|\b\d+\b|IN \([^)]*\)", "?", sql)[:240]
        counts[shape] = counts.get(shape, 0) + 1
    return counts


def not_counted(client, firm: SimpleNamespace, counted: set[str]) -> list[str]:
    """Routes that are no writes and were not asked with success."""
    left = []
    for route in sorted(set(routes())):
        address = address_of(route, vars(firm))
        if address in counted or NOT_ASKED.match(route):
            continue
        if client.get(re.sub(r"<[^>]*>", "0", address)).status_code != 405:
            left.append(route)
    return left


def test_no_page_asks_more_often_when_there_are_more_rows(firm, sign_in, alice):
    client, small = sign_in(alice), firm(FEW)
    theirs = Client()
    theirs.force_login(User.objects.get(email="grown1@example.com"))
    asked = [(client, address, address) for address in addresses_of(small)]
    asked += [(theirs, address, f"client {address}") for address in OF_CLIENTS]
    few = {name: (who, address, *queries_of(who, address)) for who, address, name in asked}
    assert {name: status for name, (*_, status, _) in few.items() if status == 500} == {}
    pages = {name: (who, address, queries) for name, (who, address, status, queries) in few.items() if status == 200}
    assert {f"client {address}" for address in OF_CLIENTS} <= pages.keys()
    left = not_counted(client, small, {address.partition("?")[0] for _, address, _ in pages.values()})
    assert [route for route in left if not route.startswith(tuple(NOT_COUNTED))] == [], "count them, or say why not"
    firm(MANY)
    grew, long = {}, {}
    for name, (who, address, before) in pages.items():
        status, queries = queries_of(who, address)
        assert status == 200, name
        if len(queries) > MOST and address not in MANY_QUESTIONS:
            long[name] = len(queries)
        if len(queries) > len(before) + BRANCHES:
            less, more = shapes(before), shapes(queries)
            grew[name] = {shape: (less.get(shape, 0), n) for shape, n in more.items() if n > less.get(shape, 0)}
    assert grew == {}
    assert long == {}
