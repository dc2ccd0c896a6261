"""What is simulated is what the backend says of its accounts; silence is not "real"."""

from __future__ import annotations

import pytest
from django.test import Client

from reporting.models import SyncKind
from subscribers.models import Subscriber, SubscriberAccess
from tests import builders
from tests.faults.mirroring import connect, settle
from tests.faults.sim_backend import SimBackend

pytestmark = pytest.mark.django_db(transaction=True)
BOTH = (SyncKind.CONFIGURATION, SyncKind.ACCOUNTS)


def account(number, **fields):
    money = {"currency": "EUR", "balance": 1000, "equity": 1000, "margin": 0}
    return {"accountId": f"account-{number}", **money, **fields}


@pytest.mark.parametrize(
    ("said", "of_accounts", "of_connection"),
    [
        ([True, True], [True, True], True),
        ([False, True], [False, True], True),
        ([False, False], [False, False], False),
        ([False, None], [False, None], None),
        ([None, None], [None, None], None),
    ],
)
def test_the_mark_follows_what_the_backend_says(said, of_accounts, of_connection):
    with SimBackend() as backend:
        backend.subscribers += [{"_id": f"account-{n}", "name": f"Dora {n}", "subscriptions": []} for n in range(2)]
        backend.accounts = [account(n, **({} if one is None else {"simulated": one})) for n, one in enumerate(said)]
        connection = connect(backend)
        settle(connection, BOTH[:1])  # balances are kept beside accounts that are known
        settle(connection, BOTH[1:])
        connection.refresh_from_db()
        rows = Subscriber.objects.order_by("backend_id")
        assert list(rows.values_list("is_simulated", flat=True)) == of_accounts
        assert connection.market_is_simulated is of_connection
        workspace = connection.workspace
        people = {"owner": "Alice", "subscriber": "Dora"}
        shown = {}
        for role, name in people.items():
            person = builders.member(workspace, name.lower(), role)
            if role == "subscriber":
                SubscriberAccess.objects.create(membership=person.memberships.get(), subscriber=rows[1])
            client = Client()
            client.force_login(person)
            shown[role] = client
        badge = "Simulated market"
        for client, path in ((shown["owner"], "/"), (shown["owner"], "/subscribers/"), (shown["subscriber"], "/me/")):
            assert (badge in client.get(path).content.decode()) is (of_connection is True), path
        connections = shown["owner"].get("/settings/connections/").content.decode()
        assert ("Market not known" in connections) is (of_connection is None)
        for row, one in zip(rows, said, strict=True):
            page = shown["owner"].get(f"/subscribers/{row.pk}/").content.decode()
            assert ("nothing here is real money" in page.replace("Nothing", "nothing")) is (
                one is True or of_connection is True
            )
        file = b"".join(shown["owner"].get("/subscribers/?format=csv").streaming_content).decode()
        assert "is_simulated" in file.splitlines()[0]


def test_a_backend_asked_account_by_account_does_not_measure_what_it_does_not_know():
    with SimBackend() as backend:
        backend.subscribers += [{"_id": f"account-{n}", "name": "D", "subscriptions": []} for n in range(2)]
        backend.accounts = None  # not offered: asked one by one
        connection = connect(backend)
        settle(connection, BOTH[:1])
        settle(connection, BOTH[1:])
        for row in Subscriber.objects.all():
            assert row.asked_at is not None
            assert row.is_simulated is None
            assert row.measured_at is not None
