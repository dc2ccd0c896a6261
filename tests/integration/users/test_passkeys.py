"""Passkeys: made, used in the place of a code or of the password, confirmed with, removed; and what is refused."""

import json
import re
from html import unescape

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from tests import builders
from tests.integration.users.test_confirming import long_ago
from tests.integration.users.test_second_factor import CODE, is_in, recovery_codes_of, with_factor, with_password
from tests.passkey import PRESENT, SoftPasskey, stored_passkey
from users import second_factor
from users.factors import has_factor
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
ADD, SIGN_IN, CONFIRM = "/accounts/second-factor/passkeys/add/", "/accounts/passkey/", "/accounts/confirm/"


@pytest.fixture(autouse=True)
def over_https(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


def browser(**options) -> Client:
    return Client(headers={"X-Forwarded-Proto": "https"}, **options)


def options_in(page) -> dict:
    return json.loads(unescape(re.search(r'data-options="([^"]*)"', page.content.decode())[1]))


def made_by(client, passkey: SoftPasskey | None = None, name="Phone") -> SoftPasskey:
    passkey = passkey or SoftPasskey()
    credential = passkey.create(options_in(client.get(ADD)))
    client.post(ADD, {"name": name, "credential": json.dumps(credential)})
    return passkey


def asked(client) -> dict:
    """What the sign-in page's script is told."""
    return client.get(SIGN_IN, headers={"Accept": "application/json"}).json()["request_options"]


def sign_in_by(passkey, client=None):
    client = client or browser()
    client.post(SIGN_IN, {"credential": json.dumps(passkey.use(asked(client)))})
    return client


def test_it_is_made_told_and_ends_the_other_sessions(alice, tasks_run):
    other, client = with_password(alice), with_password(alice, browser())
    with tasks_run():
        made_by(client)
    passkey = Authenticator.objects.get(type="webauthn")
    assert passkey.wrap().name == "Phone"
    assert has_factor(alice)
    assert len(recovery_codes_of(alice)) == 10
    assert is_in(client)
    assert not is_in(other)
    assert [sent.subject for sent in mail.outbox] == ["A passkey was added to your account"]
    assert AuditEntry.objects.filter(action="second factor added", user=alice).exists()
    assert "Phone" in client.get("/accounts/second-factor/").content.decode()


def test_it_signs_in_without_password_and_counts_as_second_factor(alice, workspace):
    passkey = made_by(with_password(alice, browser()))
    second_factor.require_of(workspace, ["owner"], by=alice)
    client = sign_in_by(passkey)
    assert is_in(client)
    assert client.get("/strategies/").status_code == 200


def test_it_stands_in_for_the_code_after_the_password(alice):
    passkey = made_by(with_password(alice, browser()))
    client = with_password(alice, browser())
    assert not is_in(client)
    client.post(CODE, {"credential": json.dumps(passkey.use(options_in(client.get(CODE))))})
    assert is_in(client)
    assert Authenticator.objects.get(type="webauthn").last_used_at


def test_it_confirms_who_one_is(alice):
    client = with_password(alice, browser())
    passkey = made_by(client)
    long_ago(client)
    page = client.get(CONFIRM)
    wrong = client.post(CONFIRM, {"credential": json.dumps(SoftPasskey().use(options_in(page)))})
    assert wrong.status_code == 422
    assert "not known here" in wrong.content.decode()
    answer = passkey.use(options_in(client.get(CONFIRM)))
    assert client.post(CONFIRM, {"credential": json.dumps(answer), "next": "/leave/"})["Location"] == "/leave/"
    assert client.get("/settings/members/invite/").status_code == 200
    long_ago(client)
    assert client.post(CONFIRM, {"credential": json.dumps(answer)}).status_code == 422, "an answer counts once"


@pytest.mark.parametrize(
    "credential", ["", "{}", "[]", "null", "x", '{"id": 1}', '{"response": {"userHandle": "AAAA"}}']
)
@pytest.mark.parametrize("path", [SIGN_IN, CONFIRM, CODE, ADD])
def test_what_is_no_answer_is_refused(alice, path, credential):
    client = with_password(alice, browser())
    made_by(client)
    client = with_password(alice, browser()) if path == CODE else browser() if path == SIGN_IN else client
    client.get(path, headers={"Accept": "application/json"})
    answer = client.post(path, {"credential": credential, "name": "x"})
    assert answer.status_code in (200, 302, 422)
    assert Authenticator.objects.filter(type="webauthn").count() == 1
    if path in (SIGN_IN, CODE):
        assert not is_in(client)


@pytest.mark.parametrize("flaw", ["origin", "key", "flags", "replay", "person"])
def test_wrong_answers_sign_nobody_in(alice, bob, flaw):
    passkey = made_by(with_password(alice, browser()))
    client = browser()
    options = asked(client)
    if flaw == "origin":
        passkey.origin = "https://testserver.evil.example"
    elif flaw == "key":
        passkey.key = SoftPasskey().key
    elif flaw == "flags":
        passkey.flags = PRESENT  # nobody showed finger, face or PIN
    elif flaw == "person":
        passkey.user_handle = SoftPasskey().user_handle or "AAAA"
    answer = passkey.use(options)
    if flaw == "replay":
        client.post(SIGN_IN, {"credential": json.dumps(answer)})
        assert is_in(client)
        client = browser()
        asked(client)
    client.post(SIGN_IN, {"credential": json.dumps(answer)})
    assert not is_in(client)


def test_without_finger_face_or_pin_none_is_made(alice):
    client = with_password(alice, browser())
    made_by(client, SoftPasskey(flags=PRESENT))
    made_by(client, SoftPasskey(origin="https://evil.example"))
    assert not Authenticator.objects.exists()


def test_deactivated_people_do_not_get_in(alice):
    passkey = made_by(with_password(alice, browser()))
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    assert not is_in(sign_in_by(passkey))


# --- Removing ---------------------------------------------------------------------------------------------------------
def remove_path(passkey) -> str:
    return f"/accounts/second-factor/passkeys/{passkey.pk}/remove/"


def test_one_removes_only_ones_own(alice, bob):
    mine, theirs = stored_passkey(alice), stored_passkey(bob)
    client = browser()
    client.force_login(alice)
    for path in (remove_path(theirs), "/accounts/second-factor/passkeys/987654321/remove/"):
        assert client.get(path).status_code == client.post(path).status_code == 404
    assert client.post(remove_path(mine)).status_code == 302
    assert list(Authenticator.objects.values_list("pk", flat=True)) == [theirs.pk]


@pytest.mark.parametrize(("has_app", "keys", "stays"), [(False, 1, True), (True, 1, False), (False, 2, False)])
def test_the_last_one_stays_where_one_is_required(alice, workspace, has_app, keys, stays):
    passkeys = [stored_passkey(alice) for _ in range(keys)]
    if has_app:
        with_factor(alice)
    second_factor.require_of(workspace, ["owner"], by=alice)
    client = browser()
    client.force_login(alice)
    answer = client.post(remove_path(passkeys[0]))
    assert (answer.status_code, Authenticator.objects.filter(pk=passkeys[0].pk).exists()) == (
        (409, True) if stays else (302, False)
    )


def test_the_app_may_go_where_a_passkey_stays(alice, workspace):
    with_factor(alice)
    stored_passkey(alice)
    second_factor.require_of(workspace, ["owner"], by=alice)
    client = browser()
    client.force_login(alice)
    assert client.post("/accounts/second-factor/remove/").status_code == 302
    assert list(Authenticator.objects.values_list("type", flat=True).order_by("type")) == ["recovery_codes", "webauthn"]


def test_a_reset_takes_passkeys_away_too(alice, bob):
    stored_passkey(bob)
    second_factor.reset_now(bob, by=alice)
    assert not Authenticator.objects.exists()
    assert is_in(with_password(bob))


@pytest.mark.parametrize(
    ("host", "is_offered"), [("testserver", True), ("127.0.0.1", False), ("127.0.0.1:8000", False), ("[::1]:80", False)]
)
def test_they_are_offered_where_browsers_make_them(settings, alice, host, is_offered):
    settings.ALLOWED_HOSTS = ["*"]
    client = browser()
    client.force_login(alice)
    page = client.get("/accounts/second-factor/", headers={"Host": host}).content.decode()
    assert (ADD in page) is is_offered
    plain = Client()
    plain.force_login(alice)
    assert ADD not in plain.get("/accounts/second-factor/").content.decode()


def test_a_token_of_somebody_without_second_factor_waits(alice, workspace):
    from datetime import timedelta

    from django.utils import timezone

    from api.tokens import issue_token

    text = issue_token(alice.memberships.get(), name="x", scope="read", lasts=timedelta(1), now=timezone.now()).text
    headers = {"Authorization": f"Bearer {text}"}
    assert Client().get("/api/v1/strategies/", headers=headers).status_code == 200
    second_factor.require_of(workspace, ["viewer"], by=alice)
    assert Client().get("/api/v1/strategies/", headers=headers).status_code == 200, "not of this role"
    second_factor.require_of(workspace, ["owner"], by=alice)
    refused = Client().get("/api/v1/strategies/", headers=headers)
    assert refused.status_code == 401
    assert "second factor" in refused.content.decode()
    stored_passkey(alice)
    assert Client().get("/api/v1/strategies/", headers=headers).status_code == 200
    assert builders.PASSWORD
