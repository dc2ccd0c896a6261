"""What can be edited is what apps registered: every kind answers every question, and nothing else is taken."""

from __future__ import annotations

import pytest

from copying.contract.validation import KINDS
from copying.engine.model import Level
from editing import targets
from editing.models import Change
from editing.targets import PORTFOLIO, STRATEGY, SUBSCRIBER, Link, Parts, Target, parts_in, target_of


def test_strategies_portfolios_and_accounts_are_registered_by_their_apps():
    registered = {kind: type(target_of(kind)).__module__ for kind in targets.kinds()}
    assert registered == {
        STRATEGY: "strategies.targets",
        PORTFOLIO: "strategies.targets",
        SUBSCRIBER: "subscribers.targets",
    }
    assert set(targets.kinds()) <= set(KINDS), "a document of each kind can be validated"


@pytest.mark.parametrize(
    ("kind", "level", "parts", "menu"),
    [
        (STRATEGY, Level.STRATEGY, None, "strategies"),
        (PORTFOLIO, Level.PORTFOLIO, Parts("members", Level.MEMBER, "Member"), "strategies"),
        (SUBSCRIBER, Level.SUBSCRIBER, Parts("subscriptions", Level.SUBSCRIPTION, "Subscription"), "subscribers"),
    ],
)
def test_a_kind_says_which_settings_it_has(kind, level, parts, menu):
    target = target_of(kind)
    assert (target.kind, target.level, target.parts, target.menu) == (kind, level, parts, menu)
    assert Change(kind=kind).document_kind == kind
    assert len(kind) <= Change._meta.get_field("kind").max_length


def test_a_kind_that_nobody_registered_is_named():
    with pytest.raises(LookupError, match="policy"):
        target_of("policy")


def test_two_apps_cannot_register_the_same_kind():
    class Other(Target):
        kind, level, collection, menu, list_title = STRATEGY, Level.STRATEGY, "strategies", "x", "X"
        read = put = remove = mirror = links = list_address = documents = None  # type: ignore[assignment]
        settings_address = removal_address = simulated = copied_strategies = None  # type: ignore[assignment]

    with pytest.raises(ValueError, match="registered already"):
        targets.register(Other())
    targets.register(type(target_of(STRATEGY))())  # the same app may start twice


def test_a_target_that_leaves_a_question_open_cannot_be_made():
    class Half(Target):
        kind = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_a_kind_without_parts_refuses_to_remove_one():
    with pytest.raises(LookupError, match="no parts"):
        target_of(STRATEGY).remove_part(None, "s", "part", targets.RemovalInstructions())


@pytest.mark.parametrize(
    ("kind", "document", "count"),
    [
        (STRATEGY, {"members": [{"strategyId": "a"}]}, 0),
        (PORTFOLIO, {"members": [{"strategyId": "a"}, {"strategyId": "b"}]}, 2),
        (PORTFOLIO, {"members": [{"strategyId": "a"}, "no member", None]}, 1),
        (PORTFOLIO, {"members": "none"}, 0),
        (SUBSCRIBER, {}, 0),
        (SUBSCRIBER, {"subscriptions": None}, 0),
        (SUBSCRIBER, {"subscriptions": [{}]}, 1),
    ],
)
def test_parts_are_read_whatever_a_document_holds(kind, document, count):
    assert len(parts_in(kind, document)) == count


def test_an_edit_leads_back_to_the_list_where_the_object_is_not_mirrored(monkeypatch):
    target = target_of(SUBSCRIBER)
    monkeypatch.setattr(type(target), "settings_address", lambda self, connection_id, backend_id: "")
    assert target.address(1, "nobody") == target.list_address() == "/subscribers/"
    monkeypatch.setattr(type(target), "settings_address", lambda self, connection_id, backend_id: "/its/page/")
    assert target.address(1, "somebody") == "/its/page/"


def test_what_has_no_page_is_a_name_alone():
    assert Link("ACC-1").href == ""
