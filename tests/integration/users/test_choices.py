"""What a list offers to choose from is what its rows are of: for a client only what the client copies."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from django.utils import timezone

import reporting
import strategies
import subscribers
import users
from reporting.models import Transaction
from subscribers.models import Subscriber, SubscriberAccess, Subscription
from tests import builders
from users.listing import Listing
from users.listing.filters import Choice, NameSearch

pytestmark = pytest.mark.django_db
PAGES = (
    "/transactions/",
    "/decisions/",
    "/log/",
    "/strategies/",
    "/subscribers/",
    "/stopouts/",
    "/statements/",
    "/payments/",
    "/me/",
    "/search/?q=e",
    "/transactions/?strategy=hidden",
    "/transactions/?subscriber=Theirs",
)


def all_listings() -> list[Listing]:
    """Every list that is declared anywhere."""
    found: dict[int, Listing] = {}
    for package in (users, strategies, subscribers, reporting):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" in module.name:
                continue
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Listing):
                    found[id(value)] = value
    return list(found.values())


@pytest.fixture
def firm(workspace, dora):
    """Dora copies one strategy, somebody else of the firm another one in another currency."""
    connection = builders.connection(workspace)
    copied = builders.strategy(connection, backend_id="mine", name="Copied strategy")
    hidden = builders.strategy(connection, backend_id="hidden", name="Hidden strategy")
    hers = builders.subscriber(connection, backend_id="hers", name="Hers", currency="EUR")
    other = builders.subscriber(connection, backend_id="other", name="Theirs", currency="JPY")
    for account, strategy in ((hers, copied), (other, hidden)):
        Subscription.objects.create(
            subscriber=account, strategy=strategy, strategy_backend_id=strategy.backend_id, first_seen_at=timezone.now()
        )
    SubscriberAccess.objects.create(membership=dora.memberships.get(), subscriber=hers)
    return connection


@pytest.mark.parametrize("who", ["alice", "bob", "charlie", "dora"])
def test_every_choice_of_every_list_is_scoped_like_its_rows(firm, request, who):
    membership = request.getfixturevalue(who).memberships.get()
    sees = {
        "alice": {"mine", "hidden"},
        "bob": {"mine", "hidden"},
        "charlie": set(),
        "dora": {"mine"},
    }[who]
    accounts = set(Subscriber.objects.visible_to(membership).values_list("backend_id", flat=True))
    currencies = set(Subscriber.objects.visible_to(membership).values_list("currency", flat=True))
    checked = 0
    for listing in all_listings():
        for each in listing.filters:
            if isinstance(each, Choice) and callable(each.options):
                offered = {option.value for option in each.accepted(membership)}
                assert offered == (currencies if each.key == "currency" else sees), (listing.name, each.key)
                checked += 1
            if isinstance(each, NameSearch):
                for typed in ("hers", "other", "e"):
                    assert set(each.ids(membership, typed)) <= accounts | {typed}, (listing.name, each.key)
                    assert "other" in accounts or "other" not in set(each.ids(membership, "Theirs"))
                checked += 1
    assert checked >= 6


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("who", ["charlie", "dora"])
def test_no_page_names_what_a_person_may_not_see(firm, request, client, who, path):
    client.force_login(request.getfixturevalue(who))
    page = client.get(path).content.decode()
    assert "Hidden strategy" not in page
    assert ">Theirs<" not in page


def test_a_client_still_filters_by_the_strategies_that_the_client_copies(firm, client, dora):
    client.force_login(dora)
    page = client.get("/transactions/").content.decode()
    assert "Copied strategy" in page
    assert Transaction.objects.visible_to(dora.memberships.get()).count() == 0
