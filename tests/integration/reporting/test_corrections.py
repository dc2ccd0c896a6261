"""Documents from before a rule are listed under Needs attention for who may see them, as long as they are wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from reporting import corrections
from reporting.attention import attention
from tests import builders

pytestmark = pytest.mark.django_db
SOUND = {"name": "Sound", "description": "d", "accountId": "p-1"}
TWO_IN_ONE = SOUND | {"symbolFilter": {"included": ["XAUUSD", "EURUSD;GBPUSD"]}}
NAMED_TWICE = SOUND | {"offer": {"to": "tenants", "tenants": ["ann", "ann"]}}


def account_document(multiplier, **more):
    return {"name": "Hers", "subscriptions": [{"strategyId": "alpha", "multiplier": multiplier, **more}]}


@pytest.fixture
def backend(workspace):
    return builders.connection(workspace)


@pytest.fixture
def dora(workspace):
    return builders.member(workspace, "dora", "subscriber")


@pytest.fixture
def wrong(backend, dora):
    """Two strategies and an account from before the rules, beside sound ones."""
    builders.strategy(backend, name="Sound", document=SOUND)
    builders.subscriber(backend, name="Fine", document=account_document(0.5))
    return (
        builders.strategy(backend, name="Alpha", backend_id="alpha", document=TWO_IN_ONE),
        builders.strategy(backend, name="Beta", document=NAMED_TWICE),
        builders.subscriber(backend, name="Hers", document=account_document(0), access=dora),
    )


def lines_of(person, now=None):
    found = attention(person.memberships.get(), now=now or timezone.now()).lines
    return [line for line in found if "a correction" in line.rest]


def test_one_line_counts_them_and_leads_to_the_first_form(wrong, alice, sign_in):
    (line,) = lines_of(alice)
    assert f"{line.title} {line.rest}" == "2 strategies and 1 account need a correction"
    assert line.href == f"/strategies/{wrong[0].pk}/edit/"
    assert line.note.startswith("First Alpha: Only these symbols.")
    page = sign_in(alice).get("/").content.decode()
    assert f'href="{line.href}">2 strategies and 1 account</a> need a correction' in page


def test_a_viewer_is_led_to_where_it_is_read(wrong, bob, sign_in):
    (line,) = lines_of(bob)
    assert line.href == f"/strategies/{wrong[0].pk}/settings/"
    client = sign_in(bob)
    assert "/edit/" not in client.get("/").content.decode()
    assert client.get(line.href).status_code == 200


def test_clients_and_strangers_see_nothing_of_it(wrong, dora, charlie, sign_in):
    assert lines_of(dora) == lines_of(charlie) == []
    assert "a correction" not in sign_in(dora).get("/me/").content.decode()
    stranger = sign_in(charlie)
    assert "a correction" not in stranger.get("/").content.decode()
    assert stranger.get(f"/strategies/{wrong[0].pk}/edit/").status_code == 404


@pytest.mark.parametrize(
    ("document", "listed"),
    [
        (account_document(0), True),
        (account_document(-1), True),
        (account_document(0.01), False),
        (account_document(0, removed=True), False),
        ({}, False),
        ({"name": " "}, True),
    ],
)
def test_an_account_is_listed_when_a_rule_of_today_is_broken(backend, alice, document, listed):
    builders.subscriber(backend, document=document)
    assert bool(lines_of(alice)) is listed


@pytest.mark.parametrize(
    ("settings", "listed"),
    [
        ({"symbolFilter": {"included": ["XAUUSD "]}}, False),  # read as the symbol without the space
        ({"symbolFilter": {"included": ["XAU\u200bUSD"]}}, True),
        ({"offer": {"to": "tenants", "tenants": ["ann", "ben"]}}, False),
        ({"offer": {"to": "everybody", "tenants": ["ann"]}}, True),
        ({"telegram": {"publishing": {"token": "hidden", "chatId": "@c", "template": "t"}}}, False),
    ],
)
def test_a_strategy_is_listed_when_a_rule_of_today_is_broken(backend, alice, settings, listed):
    builders.strategy(backend, document=SOUND | settings)
    assert bool(lines_of(alice)) is listed


def test_a_part_at_fault_is_corrected_on_its_own_page(backend, alice):
    account = builders.subscriber(backend, name="Hers", document=account_document(0))
    (line,) = lines_of(alice)
    assert (line.title, line.rest) == ("1 account", "needs a correction")
    assert line.href == f"/subscribers/{account.pk}/subscriptions/alpha/edit/"
    assert line.note.startswith("Hers: Ratio.")


@pytest.mark.parametrize("strategy_id", ["a/b", "", 7, None])
def test_a_part_without_a_page_is_corrected_with_the_whole(backend, alice, strategy_id):
    document = {"name": "Hers", "subscriptions": [{"strategyId": strategy_id, "multiplier": 0}]}
    account = builders.subscriber(backend, document=document)
    assert lines_of(alice)[0].href == f"/subscribers/{account.pk}/edit/"


def test_members_of_portfolios(backend, alice):
    document = {"name": "Both", "description": "d", "members": [{"strategyId": "alpha", "multiplier": 0}]}
    portfolio = builders.strategy(backend, kind="portfolio", document=document)
    (line,) = lines_of(alice)
    assert (line.title, line.href) == ("1 portfolio", f"/strategies/{portfolio.pk}/members/alpha/edit/")


def test_what_was_corrected_or_removed_is_not_listed_any_more(wrong, alice):
    assert lines_of(alice)
    alpha, beta, hers = wrong
    for row, document in ((alpha, SOUND), (hers, account_document(1))):
        row.document, row.synced_at = document, timezone.now()  # as the mirror does
        row.save()
    assert lines_of(alice)[0].title == "1 strategy"
    type(beta).objects.filter(pk=beta.pk).update(is_removed=True)
    assert lines_of(alice) == []


def test_a_rule_that_comes_later_is_noticed_within_an_hour(backend, alice, monkeypatch):
    now = timezone.now()
    builders.strategy(backend, document=SOUND)
    assert lines_of(alice, now) == []
    monkeypatch.setattr(corrections, "problems_of", lambda kind, document: [{"parameter": "name", "message": "no"}])
    assert lines_of(alice, now + timedelta(minutes=59)) == []
    assert lines_of(alice, now + timedelta(minutes=60))[0].title == "1 strategy"


def test_every_look_reads_a_bounded_number_of_documents(backend, alice, monkeypatch):
    monkeypatch.setattr(corrections, "MOST_READ", 2)
    for _ in range(5):
        builders.subscriber(backend, document=account_document(0))
    numbers = [lines_of(alice)[0].title.split()[0] for _ in range(4)]
    assert numbers == ["2", "4", "5", "5"]


def test_the_overview_costs_the_same_queries_however_many_there_are(wrong, backend, alice, django_assert_num_queries):
    membership = alice.memberships.get()
    corrections.needed_corrections(membership, timezone.now())
    for _ in range(20):
        builders.subscriber(backend, document=account_document(0))
    for _ in range(2):  # also while new documents are read
        with django_assert_num_queries(4):
            assert len(corrections.needed_corrections(membership, timezone.now())) == 23
