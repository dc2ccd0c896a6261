"""Every page and act of editing, tried as owner, manager, accountant, viewer, subscriber, stranger and nobody."""

from __future__ import annotations

import re

import pytest
from django.urls import get_resolver
from django.utils import timezone

from editing.models import BulkEdit, Change
from editing.proposals import propose
from editing.scopes import scope_of
from tests import builders

pytestmark = pytest.mark.django_db
SEE = {"owner": 200, "manager": 200, "accountant": 200, "viewer": 200, "subscriber": 404, "stranger": 404}
MAY = SEE | {"accountant": 403, "viewer": 403}
DO = {who: 302 if answer == 200 else answer for who, answer in MAY.items()}
LISTS = SEE | {"stranger": 200}
NEW = MAY | {"stranger": 200}  # a stranger is the owner of a workspace of their own, and may make something there
STRATEGY, PORTFOLIO, ACCOUNT = "/strategies/{alpine}/", "/strategies/{portfolio}/", "/subscribers/{hers}/"
PAGES = {
    "strategies:new": ("/strategies/new/", NEW),
    "strategies:new-portfolio": ("/strategies/new-portfolio/", NEW),
    "strategies:edit": (STRATEGY + "edit/", MAY),
    "strategies:remove": (STRATEGY + "remove/", MAY),
    "strategies:edit-member": (PORTFOLIO + "members/{alpine_id}/edit/", MAY),
    "strategies:add-member": (PORTFOLIO + "members/add/", MAY),
    "strategies:remove-member": (PORTFOLIO + "members/{alpine_id}/remove/", MAY),
    "strategies:signals": (STRATEGY + "signals/", SEE),
    "strategies:changes": (STRATEGY + "changes/", SEE),
    "subscribers:changes": (ACCOUNT + "changes/", SEE),
    "subscribers:new": ("/subscribers/new/", NEW),
    "subscribers:edit": (ACCOUNT + "edit/", MAY),
    "subscribers:subscribe": (ACCOUNT + "subscribe/", MAY),
    "subscribers:edit-subscription": (ACCOUNT + "subscriptions/{alpine_id}/edit/", MAY),
    "subscribers:unsubscribe": (ACCOUNT + "subscriptions/{alpine_id}/remove/", MAY),
    "subscribers:resynchronise": (ACCOUNT + "resynchronise/", MAY),
    "subscribers:remove": (ACCOUNT + "remove/", MAY),
    "editing:change": ("/changes/{draft}/", MAY),
    "editing:what-if": ("/changes/{draft}/what-if/", MAY),
    "editing:positions": ("/changes/{draft}/positions/", MAY),
    "editing:bulk": ("/changes/bulk/{begun}/", SEE),
    "editing:bulk-what-if": ("/changes/bulk/{begun}/what-if/", MAY),
}
ACTS = {
    "strategies:send-signal": STRATEGY + "signals/send/",
    "strategies:change-signal": STRATEGY + "signals/abcd1234/change/",
    "strategies:close-signal": STRATEGY + "signals/abcd1234/close/",
    "strategies:create-webhook": STRATEGY + "webhooks/create/",
    "strategies:remove-webhook": STRATEGY + "webhooks/remove/",
    "subscribers:close-only": ACCOUNT + "close-only/",
    "editing:undo": "/changes/{saved}/undo/",
    "editing:go-on": "/changes/{draft}/go-on/",
    "editing:look-again": "/changes/{draft}/look/",
    "editing:save": "/changes/{draft}/save/",
    "editing:discard": "/changes/{draft}/discard/",
    "editing:bulk-start": "/changes/bulk/{planned}/start/",
    "editing:bulk-undo": "/changes/bulk/{begun}/undo/",
}
BODY = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": "0.1", "confirmed": "yes", "mode": "by-position"}
MODULES = ("edit_views", "signal_views", "resync")  # and everything of the app editing
WRITING = ("edit", "remove", "new", "new-portfolio", "add", "subscribe", "send", "create", "close-only")


@pytest.fixture
def people(workspace, alice, bob, charlie, dora):
    more = {role: builders.member(workspace, role, role) for role in ("manager", "accountant")}
    return {"owner": alice, **more, "viewer": bob, "subscriber": dora, "stranger": charlie}


def proposal(desk, **given) -> Change:
    """A change of the strategy's largest trade."""
    before = desk.at_backend(desk.alpine)
    after = before | {"maxTradeVolume": 1.5}
    return propose(scope_of(desk.alpine), by=None, now=timezone.now(), before=before, after=after, **given)


def address(template: str, desk) -> str:
    kept = {"draft": 0, "saved": 0, "planned": 0, "begun": 0}
    if "{draft}" in template:
        kept["draft"] = proposal(desk).pk
    if "{saved}" in template:
        kept["saved"] = proposal(desk, saved_at=timezone.now()).pk
    for state, started_at in (("planned", None), ("begun", timezone.now())):
        if f"{{{state}}}" in template:
            bulk = {"title": "Limits", "request": {"act": "limit"}, "proposed_at": timezone.now()}
            kept[state] = BulkEdit.objects.create(workspace=desk.alpine.workspace, started_at=started_at, **bulk).pk
    own = {"alpine": desk.alpine.pk, "alpine_id": desk.alpine.backend_id, "portfolio": desk.portfolio.pk}
    return template.format(**kept, **own, hers=desk.hers.pk)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_answers_every_person(name, desk, people, sign_in):
    template, answers = PAGES[name]
    path = address(template, desk)
    assert {who: sign_in(person).get(path).status_code for who, person in people.items()} == answers
    assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")
    part = sign_in(None).get(path, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Redirect"]) == (401, "/accounts/login/")


@pytest.mark.parametrize("name", [name for name, (_, answers) in PAGES.items() if answers is not SEE])
def test_a_form_that_may_not_be_seen_cannot_be_sent_either(name, desk, people, sign_in):
    template, answers = PAGES[name]
    path = address(template, desk)
    for who in ("accountant", "viewer", "subscriber"):
        assert sign_in(people[who]).post(path, BODY).status_code in (answers[who], 405), who


@pytest.mark.parametrize("name", ACTS)
def test_an_act_answers_every_person_and_is_never_a_get(name, desk, people, sign_in):
    for who, person in people.items():
        path = address(ACTS[name], desk)
        assert sign_in(person).get(path).status_code == 405, "only by POST"
        assert sign_in(person).post(path, BODY).status_code == DO[who], who
    assert sign_in(None).post(address(ACTS[name], desk), BODY).headers["Location"].startswith("/accounts/login/")


def test_a_saved_change_is_for_all_staff_and_has_no_button_for_those_who_only_read(desk, people, sign_in):
    path = f"/changes/{proposal(desk, saved_at=timezone.now()).pk}/"
    assert {who: sign_in(person).get(path).status_code for who, person in people.items()} == SEE
    assert "/undo/" in sign_in(people["manager"]).get(path).content.decode()
    assert "/undo/" not in sign_in(people["viewer"]).get(path).content.decode()


@pytest.mark.parametrize("who", ["accountant", "viewer"])
def test_who_only_reads_sees_no_button_that_writes(who, desk, people, sign_in):
    for path in (
        "/strategies/",
        "/subscribers/",
        f"/strategies/{desk.alpine.pk}/settings/",
        f"/strategies/{desk.portfolio.pk}/settings/",
        f"/strategies/{desk.alpine.pk}/signals/",
        f"/subscribers/{desk.hers.pk}/subscriptions/",
    ):
        page = sign_in(people[who]).get(path).content.decode()
        for word in (
            "/edit/",
            "/remove/",
            "/new/",
            "/new-portfolio/",
            "/add/",
            "/subscribe/",
            "/send/",
            "/close-only/",
        ):
            assert word not in page, (path, word)


def test_every_address_of_editing_is_tried_here():
    included = [resolver for _, resolver in get_resolver().namespace_dict.values()]
    names = {
        f"{one.app_name}:{pattern.name}"
        for one in included
        for pattern in one.url_patterns
        if one.app_name == "editing"
        or pattern.name == "changes"
        or pattern.callback.__module__.rpartition(".")[2] in MODULES
    }
    assert names == {*PAGES, *ACTS}


def test_the_pages_of_editing_need_no_inline_script_or_style(desk, people, sign_in):
    for name in PAGES:
        page = sign_in(people["owner"]).get(address(PAGES[name][0], desk)).content.decode()
        assert not re.search(r"<script(?![^>]*src=)[^>]*>\s*\S", page), name
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page), name


def test_editing_works_in_a_demo_workspace(desk, person, alice, workspace):
    workspace.is_demo = True
    workspace.save()
    manager = person(alice)
    change = manager.proposed(f"/strategies/{desk.alpine.pk}/edit/", maxTradeVolume="0.3")
    manager.save(change)
    assert desk.at_backend(desk.alpine)["maxTradeVolume"] == 0.3
