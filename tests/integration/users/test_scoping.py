"""Who sees what: Alice owns, Bob views for her, Charlie is a stranger, Dora is a subscriber; and nobody."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django_htmx.middleware import HtmxMiddleware

from reporting.models import Transaction
from strategies.models import Strategy
from subscribers.models import Stopout, Subscriber
from tests import builders
from users import permissions
from users.middleware import WORKSPACE_KEY, PartialMiddleware, current_membership
from users.models import AuditEntry, Connection, Membership
from users.services import add_connection, check_connection, replace_token

pytestmark = pytest.mark.django_db
GUARDS = {
    permissions.member_only: (200, 200, 200, 200),
    permissions.staff_only: (200, 200, 200, 404),
    permissions.may_manage: (200, 403, 200, 404),
    permissions.may_bill: (200, 403, 200, 404),
    permissions.owner_only: (200, 403, 200, 404),
    permissions.subscriber_only: (404, 404, 404, 200),
}


def _status(guard, request) -> int:
    try:
        return guard(lambda request: HttpResponse())(request).status_code
    except Http404:
        return 404
    except PermissionDenied:
        return 403


def _request(rf, person, **headers):
    request = rf.get("/", **headers)
    request.user, request.session = person, {}
    request.membership = current_membership(request)
    request.partial = "HTTP_HX_REQUEST" in headers
    return request


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_every_right_answers_every_person(guard, rf, alice, bob, charlie, dora):
    # Charlie owns a workspace of his own; that he sees nothing of Alice's is the querysets' work, below
    assert tuple(_status(guard, _request(rf, person)) for person in (alice, bob, charlie, dora)) == GUARDS[guard]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_nobody_is_sent_to_sign_in_and_a_part_says_so_to_htmx(guard, rf):
    from django.contrib.auth.models import AnonymousUser

    assert _status(guard, _request(rf, AnonymousUser())) == 302
    part = _request(rf, AnonymousUser(), HTTP_HX_REQUEST="true")
    answer = guard(lambda request: HttpResponse())(part)
    assert (answer.status_code, "HX-Redirect" in answer) == (401, True)


def test_a_person_without_membership_gets_404(rf):
    from users.models import User

    stray = User.objects.create_user("stray@example.com", "a-long-enough-password")
    assert _status(permissions.member_only, _request(rf, stray)) == 404


def test_the_session_names_the_workspace_but_never_one_of_others(rf, alice, charlie):
    second = builders.workspace(name="Second")
    Membership.objects.create(workspace=second, user=alice, role="viewer")
    request = _request(rf, alice)
    request.session[WORKSPACE_KEY] = second.pk
    assert current_membership(request).workspace == second
    request.session[WORKSPACE_KEY] = charlie.memberships.get().workspace_id
    assert current_membership(request).user == alice
    assert current_membership(request).workspace.name == "Alice Capital"


def test_a_stranger_sees_no_row_and_a_subscriber_only_their_own(workspace, alice, bob, charlie, dora):
    connection = builders.connection(workspace)
    trend = builders.strategy(connection)
    hers = builders.subscriber(connection, access=dora)
    other = builders.subscriber(connection)
    for subscriber in (hers, other):
        times = {"stopped_at": builders.LONG_AGO, "stopped_till": builders.LONG_AGO}
        Stopout.objects.create(workspace=workspace, connection=connection, subscriber=subscriber, reason="x", **times)
        Transaction.objects.create(
            workspace=workspace,
            connection=connection,
            backend_id="1",
            subscriber_id=subscriber.backend_id,
            strategy_id=trend.backend_id,
            time=builders.LONG_AGO,
            type="DEAL_TYPE_BUY",
            profit=1,
            swap=0,
            improvement=0,
            provider_commission=0,
            platform_commission=0,
        )
    seen = {
        person.name: tuple(
            model.objects.visible_to(person.memberships.get()).count()
            for model in (Strategy, Subscriber, Stopout, Transaction)
        )
        for person in (alice, bob, charlie, dora)
    }
    assert seen == {"Alice": (1, 2, 2, 2), "Bob": (1, 2, 2, 2), "Charlie": (0, 0, 0, 0), "Dora": (0, 1, 1, 1)}


def test_an_account_of_another_connection_with_the_same_id_stays_hidden(workspace, dora):
    mine, elsewhere = builders.connection(workspace), builders.connection(builders.workspace("Other"))
    builders.subscriber(mine, access=dora, backend_id="account-1")
    twin = builders.subscriber(elsewhere, backend_id="account-1")
    assert twin not in Subscriber.objects.visible_to(dora.memberships.get())


def test_only_a_part_asked_by_htmx_is_partial_and_caches_are_told(rf):
    def answer(**headers):
        request = rf.get("/", headers=headers)
        seen = {}

        def view(request):
            seen["partial"] = request.partial
            return HttpResponse()

        response = HtmxMiddleware(PartialMiddleware(view))(request)
        assert "HX-Request" in response["Vary"]
        return seen["partial"]

    assert answer(**{"HX-Request": "true"})
    assert not answer()
    assert not answer(**{"HX-Request": "true", "HX-Boosted": "true"})
    assert not answer(**{"HX-Request": "true", "HX-History-Restore-Request": "true"})


def test_a_token_is_encrypted_at_rest_shown_only_by_its_end_and_in_no_audit(workspace, alice):
    from django.db import connection as database

    connection = add_connection(workspace, name="Live", token="secret.token.abcd", base_url="http://127.0.0.1:9/")
    replace_token(connection, token=" other.token.wxyz ", by=alice)
    with database.cursor() as cursor:
        cursor.execute("SELECT token FROM users_connection")
        assert "wxyz" not in cursor.fetchone()[0]
    kept = Connection.objects.get()
    assert (kept.token, kept.token_hint, kept.base_url) == ("other.token.wxyz", "wxyz", "http://127.0.0.1:9")
    assert not any("token" in str(entry.details) for entry in AuditEntry.objects.all())


def test_the_test_of_a_connection_answers_one_sentence(workspace):
    checked = check_connection(builders.connection(workspace))
    assert not checked.is_ok
    assert checked.text.startswith("No backend answers at this address.")
