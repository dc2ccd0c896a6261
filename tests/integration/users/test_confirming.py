"""Showing again who one is: before which forms, for how long, and what becomes of what was typed."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import Client
from django.urls import resolve
from django.utils import timezone

from editing.dangers import is_sensitive
from editing.models import Action, Change
from strategies.models import Strategy
from tests import builders
from tests.integration.users.test_posts_of_strangers import (
    BY_KEY,
    FORM,
    ROUTES,
    _no_backend,
    filled,
    names_in,
    row_of,
    takes_forms,
    world,
)
from tests.integration.users.test_second_factor import CODE, code_of, with_factor, with_password
from users.confirming import confirmed
from users.session_store import CONFIRMED, SessionStore

__all__ = ["_no_backend"]  # used by every test of this file
pytestmark = pytest.mark.django_db
ASKED = "/accounts/confirm/"
# why these forms ask nobody who they are
UNASKED = {
    "nobody is signed in, or they sign in by it": {
        "setup/",
        "accounts/login/",
        "accounts/passkey/",
        "accounts/second-factor/code/",
        "accounts/password/reset/",
        "invitation/",
    },
    "it asks for the password itself": {"accounts/confirm/", "accounts/email/", "accounts/password/change/"},
    "it only takes something away from whoever uses the session": {
        "accounts/logout/",
        "accounts/sessions/end/",
        "accounts/email/withdraw/",
        "leave/",
        "commissions/approvals/<int:pk>/withdraw/",
        "accounts/second-factor/keep/",
        "settings/tokens/<int:pk>/revoke/",
        "settings/members/invitations/<int:pk>/revoke/",
    },
    "it says something about a document, and moves no money": {
        "statements/<int:pk>/lines/<int:line_pk>/dispute/",
        "disputes/<int:pk>/withdraw/",
    },
    "it only changes what one looks at": {"theme/", "switch/<int:pk>/"},
    "it proposes a change: saving it asks": {
        "subscribers/bulk/",
        "subscribers/bulk/<int:pk>/",
        "changes/bulk/<int:pk>/undo/",
        "commissions/changes/<int:pk>/",
        "changes/<int:pk>/go-on/",
        "changes/<int:pk>/discard/",
        "changes/<int:pk>/undo/",
        "changes/<int:pk>/look/",
        "strategies/<int:pk>/edit/",
        "strategies/<int:pk>/members/<str:strategy_id>/edit/",
        "strategies/<int:pk>/members/add/",
        "strategies/<int:pk>/members/<str:strategy_id>/remove/",
        "strategies/<int:pk>/remove/",
        "strategies/new-portfolio/",
        "strategies/new/",
        "subscribers/<int:pk>/edit/",
        "subscribers/<int:pk>/subscribe/",
        "subscribers/<int:pk>/subscriptions/<str:strategy_id>/edit/",
        "subscribers/<int:pk>/subscriptions/<str:strategy_id>/remove/",
        "subscribers/<int:pk>/close-only/",
        "subscribers/<int:pk>/remove/",
        "subscribers/new/",
        "me/accounts/<int:pk>/close-only/",
        "me/accounts/<int:pk>/leave/",
        "me/accounts/<int:pk>/subscriptions/<str:strategy_id>/",
        "me/accounts/<int:pk>/subscriptions/<str:strategy_id>/leave/",
    },
    "trading by hand must not wait, and is looked at before it is sent": {
        "positions/<int:pk>/close/",
        "positions/all/<int:pk>/close/",
        "strategies/<int:pk>/signals/send/",
        "strategies/<int:pk>/signals/<str:signal_id>/change/",
        "strategies/<int:pk>/signals/<str:signal_id>/close/",
        "subscribers/<int:pk>/resynchronise/",
    },
    "neither money, people, secrets nor a switch": {
        "settings/",
        "settings/logo/",
        "settings/logo/remove/",
        "settings/connections/<int:pk>/test/",
        "settings/rates/fetching/",
        "settings/rates/fetch/",
        "subscribers/currencies/file/",
        "subscribers/currencies/save/",
        "subscribers/<int:pk>/currency/",
        "me/agreements/accept/",
        "settings/events/<int:pk>/test/",
        "notifications/",
        "notifications/email/test/",
        "notifications/telegram/test/",
        "notifications/telegram/remove/",
        "notifications/webhook/test/",
        "notifications/webhook/remove/",
        "settings/events/deliveries/<int:pk>/again/",
        "subscribers/<int:pk>/log/fetch/",
        "jobs/export/",
        "jobs/<int:pk>/cancel/",
        "jobs/<int:pk>/again/",
    },
}
BY_ROW = {"changes/<int:pk>/save/"}  # which changes: below
OF_CLIENTS = {"me/agreements/fee/"}  # nobody else has them: below
UNASKED_ROUTES = set().union(*UNASKED.values())


def long_ago(client: Client, *, margin_s: int = -1) -> Client:
    """As if the person had shown who they are so long ago that it counts for `margin_s` more seconds."""
    store = SessionStore(client.cookies["sessionid"].value)
    store[CONFIRMED] = timezone.now().timestamp() - settings.CONFIRMED_FOR_SECONDS + margin_s
    store.save()
    return client


def test_every_form_asks_or_says_why_not(alice):
    client = with_password(alice)
    own = world(alice)
    with_factor(alice)
    missing, needless = [], []
    for route in (route for route in ROUTES if route not in BY_KEY | BY_ROW | OF_CLIENTS | UNASKED_ROUTES):
        if not takes_forms(client, route):
            continue
        path = filled(route, {name: own[row_of(route, name)] for name in names_in(route)})
        long_ago(client)
        answer = client.post(path, FORM)
        if answer.status_code != 302 or not answer["Location"].startswith(ASKED):
            missing.append((route, answer.status_code))
            continue
        part = client.post(path, FORM, headers={"HX-Request": "true"})
        assert part.headers["HX-Redirect"].startswith(ASKED), route
    for route in UNASKED_ROUTES - {"setup/"}:
        ids = {name: own[row_of(route, name)] for name in names_in(route)}
        if getattr(resolve(filled(route, ids)).func, "asks_who", False):
            needless.append(route)
    assert (missing, needless) == ([], []), "let it ask (users.confirming.confirmed), or say in UNASKED why not"
    assert UNASKED_ROUTES - set(ROUTES) == set()


@pytest.mark.parametrize("route", sorted(OF_CLIENTS))
def test_forms_of_clients_ask_as_well(dora, route):
    client = long_ago(with_password(dora))
    assert client.post(f"/{route}", {"answer": "agreed"})["Location"].startswith(ASKED)


@pytest.mark.parametrize(
    "path",
    ["/accounts/second-factor/recovery-codes/", "/settings/members/invite/", "/settings/tokens/new/"],
)
def test_pages_that_show_a_secret_or_take_one_ask_before_they_are_shown(alice, path):
    with_factor(alice)
    client = with_password(alice)
    client.post(CODE, {"code": code_of()})
    assert client.get(path).status_code == 200
    assert long_ago(client).get(path)["Location"] == f"{ASKED}?next={path}"
    part = client.get(path, headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/strategies/"})
    assert part.headers["HX-Redirect"] == f"{ASKED}?next=/strategies/"


@pytest.mark.parametrize(("margin_s", "is_asked"), [(-1, True), (0, True), (1, False)])
def test_it_counts_for_a_time(alice, time_machine, margin_s, is_asked):
    time_machine.move_to(timezone.now(), tick=False)
    client = long_ago(with_password(alice), margin_s=margin_s)
    assert (client.get("/settings/members/invite/").status_code == 302) is is_asked


# --- Changes of settings ----------------------------------------------------------------------------------------------
FEE = {"type": "flat-fee", "commissionRate": 5}
BASE = {
    "name": "x",
    "description": "d",
    "closeOnly": "by-symbol",
    "commissionScheme": FEE,
    "members": [{"strategyId": "efgh"}],
}


@pytest.mark.parametrize(
    ("after", "asks"),
    [
        (BASE, False),
        (BASE | {"description": "other"}, False),
        (BASE | {"commissionScheme": FEE | {"commissionRate": 6}}, True),
        ({name: value for name, value in BASE.items() if name != "commissionScheme"}, True),
        (BASE | {"closeOnly": "by-position"}, True),
        ({name: value for name, value in BASE.items() if name != "closeOnly"}, True),
        (BASE | {"accountId": "another"}, False),
        (BASE | {"members": [*BASE["members"], {"strategyId": "abcd"}]}, False),
        (BASE | {"members": [{"strategyId": "efgh", "closeOnly": "immediately"}]}, True),
        (BASE | {"members": []}, True),
        (BASE | {"telegram": {"publishing": {"token": "t"}}}, True),
    ],
)
def test_changes_of_money_switches_and_secrets_ask(alice, workspace, after, asks):
    connection = builders.connection(workspace)
    strategy = builders.strategy(connection)
    change = Change.objects.create(
        workspace=workspace,
        connection=connection,
        kind="portfolio",
        backend_id=strategy.backend_id,
        name="x",
        before=BASE,
        after=after,
        proposed_at=timezone.now(),
        destination=connection.destination,
        action=Action.CHANGE,
    )
    assert is_sensitive(change) is asks
    client = long_ago(with_password(alice))
    answer = client.post(f"/changes/{change.pk}/save/", {"once": "a"})
    assert answer.headers.get("Location", "").startswith(ASKED) is asks
    change.action = Action.REMOVE
    assert is_sensitive(change)


def test_the_change_of_a_stranger_is_not_there(alice, charlie, workspace):
    own = world(alice)
    Change.objects.filter(pk=own["change"]).update(action=Action.REMOVE)
    client = long_ago(with_password(charlie))
    assert client.post(f"/changes/{own['change']}/save/", {"once": "a"}).status_code == 404
    assert Strategy.objects.filter(pk=own["strategy"]).exists()


# --- Asking -----------------------------------------------------------------------------------------------------------
def test_what_was_typed_comes_back_after_confirming(alice):
    client = long_ago(with_password(alice))
    form, page = {"email": "eve@example.com", "role": "viewer", "token": "secret"}, "/settings/members/invite/"
    asked = client.post(page, form, headers={"Referer": f"http://testserver{page}"})
    assert asked.headers["Location"] == f"{ASKED}?next=" + quote(page, safe="/")
    before = client.cookies["sessionid"].value
    assert client.post(ASKED, {"password": "wrong", "next": page}).status_code == 422
    assert client.post(ASKED, {"next": page}).status_code == 422
    assert client.post(ASKED, {"password": builders.PASSWORD, "next": page}).headers["Location"] == page
    assert client.cookies["sessionid"].value != before
    shown = client.get(page).content.decode()
    assert "eve@example.com" in shown
    assert "secret" not in shown
    assert "eve@example.com" not in client.get(page).content.decode(), "once"
    assert client.post(page, form).status_code == 201


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_confirming_leads_nowhere_else(alice, wanted):
    answer = with_password(alice).post(ASKED, {"password": builders.PASSWORD, "next": wanted})
    assert answer.headers["Location"] == "/"


def test_a_code_confirms_too(alice, time_machine):
    time_machine.move_to(timezone.now().replace(second=1), tick=False)
    with_factor(alice)
    client = with_password(alice)
    client.post(CODE, {"code": code_of()})
    long_ago(client)
    assert client.post(ASKED, {"code": code_of()}).status_code == 422, "it was used for the sign-in"
    assert client.post(ASKED, {"code": code_of(step=1)}).status_code == 302
    assert client.get("/settings/members/invite/").status_code == 200


def test_the_password_of_somebody_else_confirms_nothing(alice, bob):
    bob.set_password("another harbour 41 phrase")
    bob.save()
    client = long_ago(with_password(alice))
    assert client.post(ASKED, {"password": "another harbour 41 phrase"}).status_code == 422
    assert client.get("/settings/members/invite/").status_code == 302


def test_who_may_not_see_a_page_is_not_even_asked(bob, charlie, dora, workspace):
    for person, status in ((bob, 403), (dora, 404), (charlie, 404)):
        client = long_ago(with_password(person))
        path = f"/settings/members/{bob.memberships.get(workspace=workspace).pk}/remove/"
        own, made_up = client.get(path), client.get("/settings/members/987654321/remove/")
        if person is charlie:  # an owner elsewhere is asked, whatever the address names
            assert own["Location"].partition("?")[0] == made_up["Location"].partition("?")[0] == ASKED
        else:
            assert own.status_code == made_up.status_code == status


def test_a_session_that_never_said_when_is_asked(rf):
    request = rf.post("/x/", headers={"Referer": "http://testserver/strategies/"})
    request.session, request.user = SessionStore(), AnonymousUser()
    assert confirmed(lambda request: HttpResponse("done"))(request).status_code == 302
    request.session[CONFIRMED] = (timezone.now() - timedelta(seconds=1)).timestamp()
    assert confirmed(lambda request: HttpResponse("done"))(request).content == b"done"
