"""What programs are told of stopouts, failed copies, statements and payments: each once, with ids and amounts."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from reporting.commission.accounts import ClientAccount
from reporting.commission.payments import record_payment, undo_payment
from reporting.commission.statements import issue_statements
from reporting.event_sources import collect
from reporting.models import Decision
from tests.firm import D
from tests.integration.reporting.test_documents import ISSUED, MAY, closed_firm
from tests.integration.reporting.test_mailing import firm_with_statement
from users.events import EventEndpoint, PortalEvent, new_secret

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(days=1)


def listen(workspace, since=LONG_AGO, **fields) -> EventEndpoint:
    moment = timezone.now() - since
    given = {"name": "Accounting", "url": "https://example.com", "secret": new_secret(), "created_at": moment}
    return EventEndpoint.objects.create(workspace=workspace, **given | fields)


def told(kind: str) -> list[dict]:
    return [
        json.loads(event.body)["data"] for event in PortalEvent.objects.filter(kind=kind).order_by("occurred_at", "key")
    ]


def failed_copy(business, number: int, *, ago: timedelta, outcome: str = "failed") -> None:
    Decision.objects.create(
        workspace=business.workspace,
        connection=business.connection,
        time=timezone.now() - ago,
        subscriber_id=business.hers.backend_id,
        strategy_id="alpine",
        backend_id=f"{number}",
        signal_id="signal",
        source_strategy_id="alpine",
        symbol="EURUSD",
        subscriber_symbol="EURUSD",
        side="buy",
        outcome=outcome,
        reason="order-refused",
        level="",
        text="The broker refused it.",
    )


def test_stopouts_and_failed_copies_are_told_once(business):
    listen(business.workspace)
    failed_copy(business, 1, ago=timedelta(minutes=1))
    failed_copy(business, 2, ago=timedelta(minutes=1), outcome="skipped")
    failed_copy(business, 3, ago=timedelta(hours=7))
    now = timezone.now()
    assert collect(now) == 2
    assert collect(now) == 0
    (stopout,) = told("stopout.started")
    assert stopout["subscriber_backend_id"] == business.hers.backend_id
    assert stopout["cause"] == "The closed loss within a day reached its limit"
    (copy,) = told("copy.failed")
    assert (copy["symbol"], copy["reason"]) == ("EURUSD", "order-refused")
    failed_copy(business, 4, ago=timedelta(minutes=1))
    assert collect(now) == 1


def test_what_was_before_an_address_was_entered_is_not_told(business):
    failed_copy(business, 1, ago=timedelta(minutes=30))
    listen(business.workspace, since=timedelta(minutes=10))
    failed_copy(business, 2, ago=timedelta(minutes=5))
    collect(timezone.now())
    assert [row["decision"] for row in told("copy.failed")] == [Decision.objects.get(backend_id="2").pk]


def test_other_workspaces_are_told_of_nothing(business, charlie):
    listen(charlie.memberships.get().workspace)
    failed_copy(business, 1, ago=timedelta(minutes=1))
    assert collect(timezone.now()) == 0
    assert not PortalEvent.objects.exists()


@pytest.mark.parametrize(("due", "count"), [(-1, 1), (0, 0), (1, 0), (-9, 0)])
def test_a_statement_is_overdue_once_on_the_day_after_it_was_due(due, count):
    firm = firm_with_statement(due=due)
    listen(firm.workspace)
    for _ in range(2):
        collect(timezone.now())
    assert len(told("statement.overdue")) == count
    if count:
        assert told("statement.overdue")[0]["statement"] == firm.statement.pk


def test_statements_and_payments_are_told_with_their_amounts():
    firm = firm_with_statement()
    listen(firm.workspace)
    now = timezone.now()

    def pay(amount):
        recorded = record_payment(
            firm.workspace,
            ClientAccount.of(firm.statement),
            amount=amount,
            currency="USD",
            received_on=now.date(),
            reference="wire",
            statement=firm.statement,
            now=now,
        )
        return recorded.payment

    pay(D(5))
    assert (len(told("payment.recorded")), told("statement.paid")) == (1, [])
    last = pay(firm.statement.total - 5)
    (paid,) = told("statement.paid")
    assert paid["number"] == firm.statement.label
    undo_payment(last, reason="bounced", now=now)
    (undone,) = told("payment.undone")
    assert (undone["payment"], D(undone["amount"])) == (last.pk, firm.statement.total - 5)


def test_an_issued_statement_is_told():
    firm = closed_firm(name="Alpine")
    listen(firm.workspace)
    day = timezone.now().date()
    (statement,) = issue_statements(firm.workspace, until=MAY, due_on=day, now=ISSUED, accepts_old_rates=True)
    (data,) = told("statement.issued")
    assert (data["statement"], data["due_on"]) == (statement.pk, day.isoformat())
    assert D(data["total"]) == statement.total
