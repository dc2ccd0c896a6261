"""Access tokens: made on a page, shown once, kept as a digest, ended by expiry, revocation and leaving."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.db import connection as database
from django.test import Client
from django.utils import timezone

from api.authentication import WRONG_TOKENS
from api.models import ApiToken
from tests import builders
from users import members
from users.members import digest_of
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
FORM = {"name": "Month end", "acts_as": "person", "days": "30", "password": builders.PASSWORD}


def make(http, **changes) -> str:
    answer = http.post("/settings/tokens/new/", FORM | changes)
    assert answer.status_code == 201, answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    return re.search(r"cpt_[\w-]{43}", answer.content.decode())[0]


def use(text: str):
    return Client().get("/api/v1/token/", headers={"Authorization": f"Bearer {text}"})


def test_a_token_is_shown_once_and_kept_as_a_digest(sign_in, alice):
    http = sign_in(alice)
    text = make(http)
    token = ApiToken.objects.get()
    assert (token.digest, token.hint, token.membership) == (digest_of(text), text[-4:], alice.memberships.get())
    assert token.expires_at - token.created_at == timedelta(days=30)
    page = http.get("/settings/tokens/").content.decode()
    assert "Month end" in page
    assert text not in page
    with database.cursor() as cursor:
        for table in ("api_apitoken", "users_auditentry", "django_session"):
            cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{text[4:]}%"])
            assert cursor.fetchone() == (0,), table
    assert AuditEntry.objects.get(action="token created").subject == "Month end"


def test_it_reads_whatever_the_form_says_and_tells_when_it_was_used(sign_in, alice):
    body = use(make(sign_in(alice), scope="write")).json()
    token = ApiToken.objects.get()
    assert token.last_used_at is not None
    assert body == {
        "id": token.pk,
        "name": "Month end",
        "scope": "read",
        "role": "owner",
        "is_service": False,
        "hint": token.hint,
        "workspace": token.workspace_id,
        "created_at": body["created_at"],
        "expires_at": body["expires_at"],
    }
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "wrong"}, "password"),
        ({"name": ""}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"days": "9999"}, "days"),
        ({"acts_as": "subscriber"}, "acts_as"),
    ],
)
def test_a_form_that_is_wrong_makes_none(sign_in, alice, changes, field):
    answer = sign_in(alice).post("/settings/tokens/new/", FORM | changes)
    assert answer.status_code == 422
    assert f'id="id_{field}' in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_a_service_has_a_role_and_stays_when_its_maker_goes(sign_in, alice, workspace):
    text = make(sign_in(alice), acts_as="viewer")
    builders.member(workspace, "second", "owner")
    alice.memberships.all().delete()
    body = use(text).json()
    assert (body["role"], body["is_service"]) == ("viewer", True)


@pytest.mark.parametrize("role", ["manager", "accountant", "viewer", "subscriber"])
def test_only_the_owner_makes_services(sign_in, workspace, role):
    http = sign_in(builders.member(workspace, "erin", role))
    assert "as a service" not in http.get("/settings/tokens/new/").content.decode()
    body = use(make(http, acts_as="owner")).json()
    assert (body["role"], body["is_service"]) == (role, False)


def test_a_token_follows_its_person(program, workspace):
    person = builders.member(workspace, "erin", "owner")
    text = program(person).text
    person.memberships.update(role="viewer")
    assert use(text).json()["role"] == "viewer"
    person.memberships.all().delete()
    assert use(text).status_code == 401
    builders.Membership.objects.create(workspace=workspace, user=person, role="owner")
    assert use(text).status_code == 401


def test_a_token_of_a_deactivated_member_waits_with_them(program, sign_in, alice, bob):
    """It is told from a wrong address; the owner sees why it does not work, and may revoke it meanwhile."""
    text, now = program(bob).text, timezone.now()
    members.deactivate_member(bob.memberships.get(), by=alice, now=now)
    for path in ("token/", "strategies/", "strategies/0/"):
        answer = Client().get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == 401, path
        assert "shut out" in answer.json()["detail"]
    token = ApiToken.objects.get()
    assert token.last_used_at is None
    page = sign_in(alice).get("/settings/tokens/").content.decode()
    assert "Paused" in page
    assert f"/settings/tokens/{token.pk}/revoke/" in page
    members.activate_member(bob.memberships.get(), by=alice, now=now)
    assert use(text).status_code == 200


def test_the_moment_of_expiry(program, alice):
    text = program(alice, lasts=timedelta(hours=1)).text
    ends = ApiToken.objects.get().expires_at
    for moment, status in ((ends - timedelta(microseconds=1), 200), (ends, 401), (ends + timedelta(seconds=1), 401)):
        with time_machine.travel(moment, tick=False):
            assert use(text).status_code == status


def test_everybody_revokes_their_own_and_the_owner_all(program, sign_in, alice, bob):
    his, hers = program(bob).text, program(alice).text
    of_bob = ApiToken.objects.get(membership__user=bob)
    of_alice = ApiToken.objects.get(membership__user=alice)
    assert sign_in(bob).post(f"/settings/tokens/{of_alice.pk}/revoke/").status_code == 404
    assert use(hers).status_code == 200
    assert (
        "bob"
        not in sign_in(bob).get("/settings/tokens/").content.decode().lower().split("<tbody>")[0].split("<main")[1]
    )
    assert sign_in(alice).post(f"/settings/tokens/{of_bob.pk}/revoke/").status_code == 302
    answer = use(his)
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]
    assert AuditEntry.objects.filter(action="token revoked").count() == 1
    sign_in(alice).post(f"/settings/tokens/{of_bob.pk}/revoke/")
    assert AuditEntry.objects.filter(action="token revoked").count() == 1


def test_a_strangers_token_is_not_there(program, sign_in, alice, charlie):
    program(alice)
    token = ApiToken.objects.get()
    assert sign_in(charlie).post(f"/settings/tokens/{token.pk}/revoke/").status_code == 404
    assert "Program" not in sign_in(charlie).get("/settings/tokens/").content.decode()
    token.refresh_from_db()
    assert token.revoked_at is None


@pytest.mark.usefixtures("one_moment")
def test_wrong_tokens_slow_down_their_network_and_nobody_with_a_right_one(program, alice):
    text = program(alice).text
    wrong = "cpt_" + "x" * 43
    statuses = [use(wrong).status_code for _ in range(WRONG_TOKENS + 1)]
    assert statuses == [401] * WRONG_TOKENS + [429]
    answer = use(wrong)
    assert int(answer["Retry-After"]) > 0
    assert use(text).status_code == 200


def test_use_is_noted_once_a_minute(program, alice, django_assert_num_queries):
    text, now = program(alice).text, timezone.now()
    with time_machine.travel(now, tick=False):
        use(text)
    for later, is_noted in ((timedelta(seconds=60), False), (timedelta(seconds=61), True)):
        with time_machine.travel(now + later, tick=False):
            use(text)
        assert (ApiToken.objects.get().last_used_at > now + timedelta(seconds=1)) is is_noted


def test_what_a_token_may_is_chosen_when_it_is_made_and_shown_in_the_list(sign_in, alice, dora):
    http = sign_in(alice)
    assert use(make(http)).json()["scope"] == "read"
    assert use(make(http, name="Allocator", access="write")).json()["scope"] == "write"
    page = http.get("/settings/tokens/").content.decode()
    assert page.count("Read and change") == 1
    assert http.post("/settings/tokens/new/", FORM | {"access": "everything"}).status_code == 422
    assert AuditEntry.objects.filter(action="token created", details__scope="write").count() == 1
    assert 'name="access"' not in sign_in(dora).get("/settings/tokens/new/").content.decode()
    assert use(make(sign_in(dora), access="write")).json()["scope"] == "read"
