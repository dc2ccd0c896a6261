"""Currencies entered by hand: one by one and as a CSV, all or none, corrected until something is closed with them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from reporting.attention import attention
from reporting.commission.services import accrue_workspace
from reporting.entering import EntryRow, save_entries
from reporting.models import BillingPeriod, CommissionLine, DailyResult, EquityPoint, SyncKind
from subscribers.models import EnteredCurrency, Subscriber
from tests import builders
from tests.contract_only import ContractOnly
from tests.faults.mirroring import settle
from tests.faults.sim_backend import SimBackend, transaction
from users.listing.export import BOM
from users.models import AuditEntry
from users.table_files import BadRows

pytestmark = pytest.mark.django_db(transaction=True)
SCHEME = {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}
FILE, SAVE = "/subscribers/currencies/file/", "/subscribers/currencies/save/"


@pytest.fixture
def full():
    """A backend whose three accounts made a profit of 100, 101 and 102 today."""
    now = datetime.now(UTC)
    backend = SimBackend()
    backend.strategies.append({"_id": "s1", "name": "Trend", "accountId": "p1", "commissionScheme": SCHEME})
    for number in range(3):
        account = f"account-{number}"
        backend.subscribers.append(
            {"_id": account, "name": f"Client {number}", "subscriptions": [{"strategyId": "s1"}]}
        )
        deal = transaction(
            2 * number + 1,
            now - timedelta(seconds=30),
            subscriberId=account,
            profit=100 + number,
            strategy={"id": "s1", "name": "Trend"},
            swap=0,
            commission=0,
        )
        backend.add([deal])
    with backend:
        yield backend


@pytest.fixture
def connection(full, workspace):
    """Its mirror over the contract alone: no account has a currency."""
    with ContractOnly(full.url) as door:
        backend = builders.connection(workspace, base_url=door.url)
        settle(backend, [SyncKind.CONFIGURATION])
        settle(backend)
        accrue_workspace(workspace.pk, datetime.now(UTC))
        yield backend


def account(number: int) -> Subscriber:
    return Subscriber.objects.get(backend_id=f"account-{number}")


def lines() -> dict[str, tuple[str, Decimal]]:
    return {line.subscriber_id: (line.currency, line.amount) for line in CommissionLine.objects.all()}


def save(workspace, person, *rows):
    planned = save_entries(
        workspace, [EntryRow(n, *row) for n, row in enumerate(rows, 2)], by=person, now=datetime.now(UTC)
    )
    accrue_workspace(workspace.pk, datetime.now(UTC))
    return planned


def refusals(workspace, person, *rows) -> dict[int, str]:
    with pytest.raises(BadRows) as caught:
        save(workspace, person, *rows)
    return {row.line: row.text for row in caught.value.rows}


def differing(person) -> list:
    """What needs attention about accounts that say another currency."""
    needs = attention(person.memberships.get(), now=datetime.now(UTC))
    return [line for line in needs.lines if "another currency" in line.rest]


def test_one_account_is_entered_after_a_look_and_accrues(connection, workspace, alice, sign_in, text_of):
    client, page = sign_in(alice), f"/subscribers/{account(1).pk}/currency/"
    assert "a wrong one can be corrected" in text_of(client.get(page))
    look = client.post(page, {"currency": "eur", "balance": "1,250.50"})
    text = text_of(look)
    assert "Nothing is saved yet" in text
    assert "Commissions of 1 deal that waits are worked out" in text
    assert not EnteredCurrency.objects.exists()
    rows = look.content.decode().partition("readonly>")[2].partition("</textarea>")[0]
    answer = client.post(SAVE, {"rows": rows, "once": "first"})
    assert answer["Location"] == "/subscribers/currencies/"
    again = client.post(SAVE, {"rows": rows, "once": "first"})
    assert again["Location"] == "/subscribers/currencies/"
    accrue_workspace(workspace.pk, datetime.now(UTC))
    assert lines() == {"account-1": ("EUR", Decimal("20.20"))}
    assert (account(1).currency, account(1).balance, account(1).equity) == ("EUR", Decimal("1250.50"), None)
    entry = AuditEntry.objects.get(action="currency entered")
    assert (entry.user, entry.subject) == (alice, "Client 1")
    assert entry.details == {"account": "account-1", "currency": "EUR", "before": "", "balance": "1250.50"}
    assert "2 deals of 2 accounts wait for a currency" in client.get("/commissions/").content.decode()
    listed = client.get("/subscribers/currencies/?state=entered").content.decode()
    assert "alice@example.com" in listed
    assert "Client 0" not in listed


def test_the_file_of_those_that_wait_can_be_filled_in_and_sent(connection, workspace, alice, sign_in, text_of):
    client = sign_in(alice)
    body = b"".join(client.get("/subscribers/currencies/?state=waiting&format=csv").streaming_content)
    rows = list(csv.DictReader(io.StringIO(body.removeprefix(BOM).decode())))
    assert [row["account"] for row in rows] == ["account-0", "account-1", "account-2"]
    assert {row["waiting_deals"] for row in rows} == {"1"}
    rows[0]["currency"], rows[2]["currency"], rows[2]["balance"] = "USD", "jpy", "1000000"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    look = client.post(FILE, {"file": SimpleUploadedFile("c.csv", b"\xef\xbb\xbf" + text.getvalue().encode())})
    page = text_of(look)
    assert "1 in JPY, 1 in USD" in page
    assert "1 row without a currency is left out" in page
    sent = look.content.decode().partition("readonly>")[2].partition("</textarea>")[0]
    assert client.post(SAVE, {"rows": sent, "once": "x"}).status_code == 302
    accrue_workspace(workspace.pk, datetime.now(UTC))
    assert lines() == {"account-0": ("USD", Decimal("20")), "account-2": ("JPY", Decimal("20"))}


def test_one_bad_row_and_nothing_is_saved(connection, workspace, alice, charlie, sign_in):
    foreign = builders.subscriber(
        builders.connection(charlie.memberships.get().workspace), backend_id="foreign", currency=""
    )
    text = f"account,currency,balance\naccount-0,USD,1\n{foreign.backend_id},USD,\nnobody,EUR,\naccount-1,EUR,2\n"
    for address, sent in ((FILE, {"text": text}), (SAVE, {"rows": text, "once": "y"})):
        answer = sign_in(alice).post(address, sent)
        assert answer.status_code == 422, address
        page = answer.content.decode()
        assert "Line 3: No account has the id foreign." in page, "a foreign id answers as a made-up one"
        assert "Line 4: No account has the id nobody." in page
        assert "Line 2" not in page
    assert not EnteredCurrency.objects.exists()
    assert not Subscriber.objects.exclude(currency="").exclude(pk=foreign.pk).exists()
    assert not AuditEntry.objects.filter(action__startswith="currency").exists()


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("manager", 200), ("accountant", 200), ("viewer", 403)])
def test_who_does_the_billing_enters(connection, workspace, sign_in, role, status):
    person = builders.member(workspace, f"some-{role}", role)
    assert sign_in(person).get("/subscribers/currencies/").status_code == 200
    for address in (FILE, f"/subscribers/{account(0).pk}/currency/"):
        assert sign_in(person).get(address).status_code == status, address


def test_strangers_and_clients_meet_nothing(connection, workspace, dora, charlie, sign_in):
    for person in (dora, charlie):
        page = f"/subscribers/{account(0).pk}/currency/"
        assert sign_in(person).get(page).status_code == 404
        assert sign_in(person).post(page, {"currency": "USD"}).status_code == 404
    assert sign_in(dora).get("/subscribers/currencies/").status_code == 404
    assert sign_in(dora).post(SAVE, {"rows": "account,currency\naccount-0,USD", "once": "z"}).status_code == 404
    assert "Client 0" not in sign_in(charlie).get("/subscribers/currencies/").content.decode()
    answer = sign_in(charlie).post(SAVE, {"rows": "account,currency\naccount-0,USD", "once": "z"})
    assert answer.status_code == 422
    assert account(0).currency == ""


def test_a_wrong_one_is_corrected_while_nothing_is_closed_with_it(connection, workspace, alice):
    save(workspace, alice, ("account-0", "EUR"), ("account-1", "EUR"))
    [entry] = save(workspace, alice, ("account-0", "USD"))
    assert entry.is_correction
    assert lines() == {"account-0": ("USD", Decimal("20")), "account-1": ("EUR", Decimal("20.20"))}
    corrected = AuditEntry.objects.get(action="currency corrected")
    assert (corrected.details["before"], corrected.details["currency"]) == ("EUR", "USD")
    BillingPeriod.objects.update(closed_at=datetime.now(UTC), state="closed")
    text = refusals(workspace, alice, ("account-0", "JPY"))[2]
    assert text == "Client 0: a billing period was closed with USD, so it cannot be changed any more."
    assert account(0).currency == "USD"
    save(workspace, alice, ("account-0", "USD", Decimal(7)))  # a balance is no currency
    assert account(0).balance == 7


def test_what_the_account_says_holds(connection, full, workspace, alice, sign_in):
    save(workspace, alice, ("account-0", "EUR", Decimal(5)), ("account-1", "EUR"))
    for number, currency in enumerate(("USD", "EUR", "JPY")):
        full.accounts.append(
            {
                "accountId": f"account-{number}",
                "currency": currency,
                "balance": 1000,
                "equity": 1010,
                "margin": 0,
                "leverage": 100,
                "time": datetime.now(UTC).isoformat(),
            }
        )
    connection.base_url = connection.token_destination = full.url
    connection.save()
    settle(connection, [SyncKind.ACCOUNTS])
    accrue_workspace(workspace.pk, datetime.now(UTC))
    assert [account(n).currency for n in range(3)] == ["USD", "EUR", "JPY"]
    assert account(0).balance == 1000
    assert {name: currency for name, (currency, _) in lines().items()} == {
        "account-0": "USD",
        "account-1": "EUR",
        "account-2": "JPY",
    }
    differences = differing(alice)
    assert [line.title for line in differences] == ["1 account"]
    listed = sign_in(alice).get(differences[0].href).content.decode()
    assert "EUR was entered; the account says USD" in listed
    assert refusals(workspace, alice, ("account-0", "JPY"), ("account-2", "USD")) == {
        2: "Client 0: the account itself says USD, and that holds.",
        3: "Client 2: the account itself says JPY, and that holds.",
    }
    save(workspace, alice, ("account-0", "USD"))
    assert differing(alice) == []
    assert AuditEntry.objects.filter(action="currency reported by the account").count() == 1


def test_an_account_without_a_code_of_its_own_keeps_what_was_entered(connection, full, workspace, alice):
    save(workspace, alice, ("account-0", "USD"))
    full.accounts.append(
        {
            "accountId": "account-0",
            "currency": "USDT",
            "balance": 1000,
            "equity": 1010,
            "margin": 0,
            "leverage": 100,
            "time": datetime.now(UTC).isoformat(),
        }
    )
    connection.base_url = connection.token_destination = full.url
    connection.save()
    settle(connection, [SyncKind.ACCOUNTS])
    assert (account(0).currency, account(0).equity) == ("USD", 1010)
    assert EnteredCurrency.objects.get().reported == ""


def test_ids_that_two_connections_have_need_the_name_of_one(connection, workspace, alice):
    other = builders.connection(workspace, name="Second", token_destination="x")
    builders.subscriber(other, backend_id="account-0", name="Twin", currency="")
    assert "Several connections have an account account-0" in refusals(workspace, alice, ("account-0", "USD"))[2]
    save(workspace, alice, ("account-0", "USD", None, "Second"))
    assert account_at(other).currency == "USD"
    assert account_at(connection).currency == ""


def account_at(backend) -> Subscriber:
    return Subscriber.objects.get(backend_id="account-0", connection=backend)


def test_what_is_entered_makes_no_equity(connection, workspace, alice):
    save(workspace, alice, ("account-0", "USD", Decimal(1000)))
    assert not EquityPoint.objects.exists()
    assert DailyResult.objects.filter(is_accrued=False).count() == 2
