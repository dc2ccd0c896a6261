"""Starting, stopping, removing accounts and changing roles: jobs at a real backend, and refusals of one that is not."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import acts
from accounts.adding import mirror_account
from accounts.models import BrokerAccount
from copying.client import AccountRefused, Client, Forbidden, NotFound, Unreachable, new_transaction_id
from copying.contract.provisioning import NewTradingAccount
from jobs import run
from jobs.models import Job
from tests import builders
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/trading-accounts/"


def work_off(desk=None) -> Job:
    """Have the newest job carried out until it is finished, without its pauses, while a desk's backend goes on."""
    give_up_at = time.monotonic() + 30  # the backend takes its time to start and stop an account
    while (job := Job.objects.latest("pk")).is_unfinished:
        assert time.monotonic() < give_up_at, job.message
        Job.objects.update(due_at=timezone.now() - timedelta(seconds=1))
        run.run_due(budget_s=1)
        if desk is not None:
            desk.backend.move()  # it looks at the time, too, and does what is due
        time.sleep(0.05)
    return job


def spare_account(desk) -> BrokerAccount:
    """A paper account at the embedded backend that nothing hangs on."""
    asked = NewTradingAccount(
        name="Spare",
        server="PaperBroker-Demo",
        magic=0,
        platform="mt5",
        currency="USD",
        copy_factory_roles=["SUBSCRIBER"],
    )
    with desk.client() as client:
        made = client.create_trading_account(asked, transaction_id=new_transaction_id())
        return mirror_account(desk.connection, made.id, client=client, now=timezone.now())


def test_an_account_is_stopped_started_and_removed(desk, sign_in, alice, monkeypatch):
    monkeypatch.setattr(acts, "LOOK_EVERY_S", 0.1)
    account, client = spare_account(desk), sign_in(alice)
    assert account.pill.code == "connected"
    for act, code, sentence in (
        ("undeploy", "stopped", "It is stopped."),
        ("deploy", "connected", "It runs and is connected"),
    ):
        client.post(f"{URL}{account.pk}/{act}/")
        job = work_off(desk)
        assert (job.state, BrokerAccount.objects.get(pk=account.pk).pill.code) == ("done", code), job.message
        assert sentence in job.message
    client.post(f"{URL}{account.pk}/remove/", {"typed": "Spare"})
    assert work_off(desk).state == "done"
    assert BrokerAccount.objects.get(pk=account.pk).is_removed
    with desk.client() as backend, pytest.raises(NotFound):
        backend.trading_account(account.backend_id)
    actions = AuditEntry.objects.filter(action__startswith="trading account").order_by("occurred_at")
    assert [entry.action for entry in actions] == [f"trading account {word}" for word in ("stop", "start", "remove")]
    assert client.post(f"{URL}{account.pk}/deploy/").status_code == 404


def test_an_account_in_use_is_not_removed_and_keeps_its_role(desk, sign_in, alice):
    with desk.client() as backend:
        account = mirror_account(desk.connection, desk.id("hers"), client=backend, now=timezone.now())
    client = sign_in(alice)
    refused = client.post(f"{URL}{account.pk}/remove/", {"typed": account.name})
    assert refused.status_code == 422
    assert "copies, as the subscriber Hers" in refused.content.decode()
    roles = client.post(f"{URL}{account.pk}/roles/", {"provider": "on", "slots": "1", "metastats": "on", "risk": "on"})
    assert roles.status_code == 422
    assert "It is still used" in roles.content.decode()
    assert not Job.objects.exists()


def test_roles_and_features_are_changed_in_one_call(desk, sign_in, alice, monkeypatch):
    account, client, calls = spare_account(desk), sign_in(alice), []
    real = Client.enable_features
    monkeypatch.setattr(Client, "enable_features", lambda self, *call: calls.append(call) or real(self, *call))
    form = {"subscriber": "on", "slots": "1"}
    client.post(f"{URL}{account.pk}/roles/", form)
    assert calls == []  # nothing differs
    client.post(f"{URL}{account.pk}/roles/", form | {"provider": "on", "metastats": "on", "slots": "2"})
    changed = BrokerAccount.objects.get(pk=account.pk)
    assert (len(calls), changed.roles) == (1, ["PROVIDER", "SUBSCRIBER"])
    assert changed.document["metastatsApiEnabled"] is True
    assert changed.document["copyFactoryResourceSlots"] == 2
    entry = AuditEntry.objects.get(action="trading account roles")
    assert entry.details["after"] == {"provider": True, "metastats": True, "slots": 2}


@pytest.fixture
def account(workspace):
    return builders.broker_account(builders.connection(workspace), state="UNDEPLOYED")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AccountRefused("The broker does not let this account in.", "E_AUTH"), "does not let this account in"),
        (Forbidden("No."), "needs access to the accounts"),
        (NotFound("No."), "does not have this account any more"),
    ],
)
def test_what_cannot_succeed_fails_with_what_to_do(account, sign_in, alice, monkeypatch, error, text):
    def refuse(self, account_id):
        raise error

    monkeypatch.setattr(Client, "_start", lambda self, *_: refuse(self, ""))
    sign_in(alice).post(f"{URL}{account.pk}/deploy/")
    job = work_off()
    assert job.state == "failed"
    assert text in job.message


def test_a_slow_backend_is_tried_again_and_the_wish_sent_once_more_harms_nothing(account, sign_in, alice, monkeypatch):
    sent: list[str] = []

    def start(self, account_id, action):
        sent.append(action)
        if len(sent) == 1:
            raise Unreachable("The backend takes too long.")

    running = {"_id": account.backend_id, "name": "A", "state": "DEPLOYED", "connectionStatus": "CONNECTED"}
    monkeypatch.setattr(Client, "_start", start)
    monkeypatch.setattr(Client, "trading_account_document", lambda self, account_id: running)
    sign_in(alice).post(f"{URL}{account.pk}/deploy/")
    assert (work_off().state, sent) == ("done", ["deploy", "deploy"])


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        ("DEPLOY_FAILED", "DISCONNECTED", "Start failed. Check login, password and server"),
        ("DEPLOYED", "DISCONNECTED_FROM_BROKER", "still not done after 15 minutes: broker connection lost"),
    ],
)
def test_a_start_that_does_not_end_well_says_why(account, sign_in, alice, monkeypatch, state, status, text):
    document = {"_id": account.backend_id, "name": "A", "state": state, "connectionStatus": status}
    monkeypatch.setattr(Client, "_start", lambda self, *_: None)
    monkeypatch.setattr(Client, "trading_account_document", lambda self, account_id: document)
    sign_in(alice).post(f"{URL}{account.pk}/deploy/")
    Job.objects.update(cursor={"sent_at": (timezone.now() - timedelta(minutes=16)).isoformat()})
    job = work_off()
    assert (job.state, text in job.message) == ("failed", True), job.message


def test_only_what_the_state_allows_is_asked_for(account, sign_in, alice):
    client = sign_in(alice)
    page = client.get(f"{URL}{account.pk}/").content.decode()
    assert (f"{URL}{account.pk}/deploy/" in page, f"{URL}{account.pk}/undeploy/" in page) == (True, False)
    client.post(f"{URL}{account.pk}/undeploy/")
    assert not Job.objects.exists()


def test_a_name_that_is_not_typed_removes_nothing(account, sign_in, alice):
    assert sign_in(alice).post(f"{URL}{account.pk}/remove/", {"typed": "Another"}).status_code == 422
    assert not Job.objects.exists()


@pytest.mark.parametrize("act", ["deploy", "undeploy", "redeploy", "remove", "link", "roles"])
def test_who_may_not_manage_does_nothing(account, sign_in, bob, charlie, dora, act):
    for person, status in ((bob, 403), (charlie, 404), (dora, 404)):
        assert sign_in(person).post(f"{URL}{account.pk}/{act}/", {"typed": account.name}).status_code == status
    assert not Job.objects.exists()


def test_a_right_that_is_lost_meanwhile_stops_the_job(account, sign_in, alice, monkeypatch):
    monkeypatch.setattr(Client, "_start", lambda self, *_: pytest.fail("sent"))
    sign_in(alice).post(f"{URL}{account.pk}/deploy/")
    alice.memberships.update(role="viewer")
    assert work_off().state == "failed"
