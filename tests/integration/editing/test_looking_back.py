"""What a change would have done, over backends that have no simulations: decided here over what is mirrored."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction as transactions
from django.utils import timezone

from copying.backend import tokens
from editing.what_if import simulate
from jobs.kinds import Work
from jobs.models import Job
from reporting.models import MirroredSignal, OpenTrade, SyncKind
from reporting.reconstruction import runs
from tests.contract_only import ContractOnly
from tests.faults.mirroring import settle

pytestmark = pytest.mark.django_db(transaction=True)
COMMISSION = 6  # US dollars for a lot at the paper broker, which the mirror leaves out


def lead_to(desk, address: str) -> None:
    """The desk's connection leads to another address."""
    backend = desk.connection
    backend.base_url = address
    backend.set_token(tokens.issue(desk.tenant))
    backend.save()


@pytest.fixture
def mirrored(desk):
    """A function that mirrors what there is through a door and collects its signals."""

    def mirror(door: ContractOnly) -> None:
        lead_to(desk, door.url)
        desk.backend.settle()
        settle(desk.connection, [SyncKind.CONFIGURATION])
        settle(desk.connection)
        job = Job(workspace=desk.connection.workspace, kind="reconstruction")
        with transactions.atomic():  # as each slice of a job is
            list(runs.slices(Work(job, None, timezone.now())))

    return mirror


def test_it_is_what_the_backend_itself_says_where_the_accounts_are_told(desk, person, alice, mirrored, text_of):
    manager = person(alice)
    with ContractOnly(desk.backend.url, passes_accounts=True) as door:
        desk.signal(desk.alpine)
        mirrored(door)
        desk.backend.move(EURUSD=(1.11, 1.11008))
        desk.end_signal(desk.alpine)
        mirrored(door)
        assert MirroredSignal.objects.get(strategy_id=desk.alpine.backend_id).lots is not None
        change = manager.proposed(
            f"/subscribers/{desk.hers.pk}/subscriptions/{desk.alpine.backend_id}/edit/", multiplier="0.5"
        )
        with desk.connection.client() as client:
            own = simulate(change, client=client, now=timezone.now() + timedelta(seconds=2))
        page = text_of(manager.http.get(f"/changes/{change.pk}/what-if/"))
        lead_to(desk, desk.backend.url)
        change.connection.refresh_from_db()
        with desk.connection.client() as client:
            told = simulate(change, client=client, now=timezone.now() + timedelta(seconds=2))
    assert own.is_reconstructed
    assert not told.is_reconstructed
    assert (own.signals, own.differs, own.undecided, own.missing) == (told.signals, told.differs, 0, [])
    for one, other in ((own.before, told.before), (own.after, told.after)):
        counts = ("copied", "resized", "skipped", "failed", "volume")
        assert [one[name] for name in counts] == [other[name] for name in counts]
        # deals have the slippage of their copies, a point; the simulation has none
        assert one["profit"] - COMMISSION * one["volume"] == pytest.approx(other["profit"], abs=1)
    assert (own.before["volume"], own.after["volume"]) == (0.4, 0.1)
    assert "reconstructed" in page
    assert "<strong>1 copy</strong> of 1 signal of the last 30 days" in page
    assert "What was assumed" in page
    assert "usual at brokers" in page
    assert "Open profit" not in page, "what is not known has no row"


def test_over_the_bare_contract_it_says_what_is_not_known_and_what_would_bring_it(
    desk, person, alice, mirrored, text_of
):
    manager = person(alice)
    with ContractOnly(desk.backend.url, refusal=403) as door:
        desk.signal(desk.alpine)
        mirrored(door)
        OpenTrade.objects.all().delete()
        MirroredSignal.objects.update(lots=None, stop_loss=None, take_profit=None)
        change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **{"symbolFilter.excluded.0": "EURUSD"})
        page = text_of(manager.http.get(f"/changes/{change.pk}/what-if/"))
        bare = manager.proposed(f"/strategies/{desk.boreal.pk}/edit/", **{"symbolFilter.excluded.0": "EURUSD"})
        nothing = text_of(manager.http.get(f"/changes/{bare.pk}/what-if/"))
    assert "reconstructed" in page
    assert "of <strong>2</strong> copies that is not known" in page.replace("Of", "of")
    assert "The volume that the provider traded is not told." in page
    assert "API brings it" in page
    assert "belongs to somebody else" not in page
    assert "No signal of the last 30 days is known here that these settings decide" in nothing


def test_without_a_mirrored_signal_it_says_why_and_where_to_look(desk, person, alice, mirrored, text_of):
    manager = person(alice)
    with ContractOnly(desk.backend.url) as door:
        mirrored(door)
        change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
        page = text_of(manager.http.get(f"/changes/{change.pk}/what-if/"))
    assert "no signal of it is mirrored yet" in page
    assert "Sync" in page


def test_signals_beyond_the_bound_are_left_out_and_counted(desk, mirrored, person, alice, monkeypatch, text_of):
    from reporting.reconstruction import looking_back

    manager = person(alice)
    with ContractOnly(desk.backend.url, passes_accounts=True) as door:
        for number in range(3):
            desk.signal(desk.alpine, f"sig0000{number}")
        mirrored(door)
        monkeypatch.setattr(looking_back, "MOST_ROUTES", 1)
        change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", **{"symbolFilter.excluded.0": "EURUSD"})
        page = text_of(manager.http.get(f"/changes/{change.pk}/what-if/"))
    assert "2 older signals of these days were not looked at" in page
    assert "of 1 signal of the last 30 days" in page
