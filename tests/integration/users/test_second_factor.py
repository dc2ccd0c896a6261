"""The second factor: set up, asked at sign-in, counted once, slowed down, required of roles, and the way back."""

import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core import mail
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from tests import builders
from users import second_factor
from users.members import Refusal
from users.models import AuditEntry, FactorReset, Membership, SignInSession

pytestmark = pytest.mark.django_db
KEY = "JBSWY3DPEHPK3PXP"
CODE = "/accounts/second-factor/code/"


def code_of(key: str = KEY, *, step: int = 0) -> str:
    return format_hotp_value(hotp_value(key, int(time.time()) // 30 + step))


def with_factor(person) -> None:
    """As if the person had set it up, with recovery codes."""
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    TOTP.activate(person, KEY)
    RecoveryCodes.activate(person)


def recovery_codes_of(person) -> list[str]:
    return Authenticator.objects.get(user=person, type="recovery_codes").wrap().get_unused_codes()


def with_password(person, client: Client | None = None) -> Client:
    client = client or Client()
    client.post("/accounts/login/", {"login": person.email, "password": builders.PASSWORD})
    return client


def is_in(client) -> bool:
    return client.get("/accounts/sessions/").status_code == 200


def path_of(person, workspace, end="") -> str:
    return f"/settings/members/{person.memberships.get(workspace=workspace).pk}/{end}"


@pytest.fixture(autouse=True)
def at_the_begin_of_a_step(time_machine):
    """So that no code becomes old between two lines of a test."""
    time_machine.move_to(timezone.now().replace(second=1), tick=False)


# --- Setting up -------------------------------------------------------------------------------------------------------
def test_it_is_set_up_and_ends_the_other_sessions(alice, tasks_run):
    other, client = with_password(alice), with_password(alice)
    key = client.get("/accounts/second-factor/set-up/").content.decode().split('id="key" value="')[1].split('"')[0]
    assert client.post("/accounts/second-factor/set-up/", {"code": "000000"}).status_code == 200
    assert not Authenticator.objects.exists(), "a wrong code sets nothing up"
    with tasks_run():
        answer = client.post("/accounts/second-factor/set-up/", {"code": code_of(key)})
    assert answer.headers["Location"] == "/accounts/second-factor/recovery-codes/"
    assert is_in(client)
    assert not is_in(other)
    assert [sent.subject for sent in mail.outbox] == ["Your second factor is set up"]
    assert AuditEntry.objects.filter(action="second factor added", user=alice).exists()
    page = client.get("/accounts/second-factor/recovery-codes/").content.decode()
    assert all(code in page for code in recovery_codes_of(alice))


def test_the_page_loaded_twice_shows_one_key(alice):
    client = with_password(alice)
    keys = {
        client.get("/accounts/second-factor/set-up/").content.decode().split('id="key" value="')[1].split('"')[0]
        for _ in range(2)
    }
    assert len(keys) == 1
    answer = client.post("/accounts/second-factor/set-up/", {"code": code_of(keys.pop())})
    assert answer.status_code == 302
    assert TOTP(Authenticator.objects.get(type="totp")).validate_code(code_of(step=1)) is False, "a key of its own"


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
def test_what_a_browser_loads_ahead_uses_nothing_up(alice, purpose):
    client = with_password(alice)
    client.post("/accounts/sessions/end/")
    ahead = client.get("/accounts/sessions/", headers={"Sec-Purpose": purpose})
    assert (ahead.status_code, ahead.content) == (503, b"")
    assert "You are signed in here only." in client.get("/accounts/sessions/").content.decode()
    assert Client().get("/accounts/login/", headers={"Sec-Purpose": purpose}).status_code == 200


def test_secrets_are_encrypted_at_rest_and_can_be_encrypted_anew(alice):
    with_factor(alice)
    before = {factor.type: factor.data for factor in Authenticator.objects.all()}
    assert KEY not in str(before)
    codes = recovery_codes_of(alice)
    assert second_factor.reencrypt_factors() == 2
    assert Authenticator.objects.get(type="totp").data != before["totp"]
    assert recovery_codes_of(alice) == codes


# --- Signing in -------------------------------------------------------------------------------------------------------
def test_the_password_alone_signs_nobody_in(alice):
    with_factor(alice)
    client = with_password(alice)
    assert not is_in(client)
    assert client.get("/strategies/").status_code == 302
    assert client.post(CODE, {"code": "000000"}).status_code == 200
    assert not is_in(client)
    assert AuditEntry.objects.filter(action="second factor failed", workspace__isnull=False).count() == 1
    assert client.post(CODE, {"code": code_of()}).status_code == 302
    assert is_in(client)


@pytest.mark.parametrize(("step", "works"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_by_half_a_minute(alice, step, works):
    with_factor(alice)
    client = with_password(alice)
    client.post(CODE, {"code": code_of(step=step)})
    assert is_in(client) is works


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_code_counts_once(alice, step):
    with_factor(alice)
    code = code_of(step=step)
    first, second = with_password(alice), with_password(alice)
    first.post(CODE, {"code": code})
    second.post(CODE, {"code": f"{code[:3]} {code[3:]}"})
    assert (is_in(first), is_in(second)) == (True, False)


def test_a_recovery_code_counts_once(alice):
    with_factor(alice)
    code = recovery_codes_of(alice)[0]
    first, second = with_password(alice), with_password(alice)
    first.post(CODE, {"code": code})
    second.post(CODE, {"code": code})
    assert (is_in(first), is_in(second)) == (True, False)
    assert len(recovery_codes_of(alice)) == 9


def test_guesses_are_slowed_down(alice):
    with_factor(alice)
    client = with_password(alice)
    for _ in range(5):
        client.post(CODE, {"code": "000000"})
    assert "Too many wrong codes" in client.post(CODE, {"code": code_of()}).content.decode()
    assert not is_in(client)
    elsewhere = with_password(alice, Client(REMOTE_ADDR="192.0.2.77"))
    elsewhere.post(CODE, {"code": code_of()})
    assert is_in(elsewhere), "nobody is locked out from somewhere else"


def test_many_sources_together_have_a_limit_and_a_known_browser_has_none(alice, time_machine):
    known = with_password(alice)
    known.post("/accounts/logout/")
    with_factor(alice)
    for number in range(60):
        thief = with_password(alice, Client(REMOTE_ADDR=f"198.51.100.{number}"))
        thief.post(CODE, {"code": "000000"})
    late = with_password(alice, Client(REMOTE_ADDR="198.51.100.200"))
    late.post(CODE, {"code": code_of()})
    assert not is_in(late)
    with_password(alice, known).post(CODE, {"code": code_of()})
    assert is_in(known)


def test_the_code_page_is_only_for_the_second_step(client, alice):
    assert client.get(CODE).headers["Location"].startswith("/accounts/login/")
    client.force_login(alice)
    assert client.get(CODE).headers["Location"] == "/"


# --- Required by a workspace ------------------------------------------------------------------------------------------
def test_a_workspace_asks_it_of_roles(sign_in, alice, bob, charlie, workspace):
    client = sign_in(alice)
    assert client.post("/settings/security/", {"roles": ["viewer", "owner"]}).status_code == 302
    entry = AuditEntry.objects.get(action="second factor required")
    assert entry.details == {"before": [], "after": ["owner", "viewer"]} or entry.details["after"] == [
        "viewer",
        "owner",
    ]
    viewer = with_password(bob)
    for path in ("/strategies/", "/", "/transactions/?format=csv", "/settings/members/"):
        assert viewer.get(path).headers["Location"] == "/accounts/second-factor/", path
    assert (
        viewer.get("/strategies/", headers={"HX-Request": "true"}).headers["HX-Redirect"] == "/accounts/second-factor/"
    )
    assert viewer.get("/leave/").status_code == 200
    with_factor(bob)
    assert viewer.get("/strategies/").status_code == 302, "this session began without it"
    viewer = with_password(bob)
    viewer.post(CODE, {"code": code_of()})
    assert viewer.get("/strategies/").status_code == 200
    assert with_password(charlie).get("/strategies/").status_code == 200, "elsewhere nobody asks"


def test_other_roles_are_not_asked_and_who_is_asked_may_go_elsewhere(alice, bob, charlie, workspace):
    second_factor.require_of(workspace, ["viewer"], by=alice)
    elsewhere = charlie.memberships.get().workspace
    Membership.objects.create(workspace=elsewhere, user=bob, role="viewer")
    assert with_password(alice).get("/strategies/").status_code == 200
    client = with_password(bob)
    assert client.get("/strategies/").status_code == 302
    assert client.post(f"/switch/{elsewhere.pk}/").status_code == 302
    assert client.get("/strategies/").status_code == 200


def test_where_it_is_required_it_cannot_be_removed(alice, bob, workspace):
    with_factor(bob)
    client = with_password(bob)
    client.post(CODE, {"code": code_of()})
    second_factor.require_of(workspace, ["viewer"], by=alice)
    client.post("/accounts/second-factor/remove/")
    assert second_factor.has_factor(bob)
    second_factor.require_of(workspace, [], by=alice)
    assert client.post("/accounts/second-factor/remove/").status_code == 302
    assert not Authenticator.objects.exists(), "recovery codes go with it"


@pytest.mark.parametrize(("person", "status"), [("bob", 403), ("dora", 404), ("charlie", 302), (None, 302)])
def test_only_the_owner_decides(request, sign_in, workspace, person, status):
    answer = sign_in(person and request.getfixturevalue(person)).post("/settings/security/", {"roles": ["viewer"]})
    assert answer.status_code == status
    workspace.refresh_from_db()
    assert workspace.factor_roles == []


# --- Lost -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("margin", "is_reset"), [(-1, False), (0, True), (1, True)])
def test_an_owner_resets_it_and_it_takes_a_day(
    sign_in, alice, bob, workspace, tasks_run, time_machine, margin, is_reset
):
    with_factor(bob)
    with tasks_run():
        assert sign_in(alice).post(path_of(bob, workspace, "second-factor/")).status_code == 302
    assert [(sent.to, sent.subject) for sent in mail.outbox] == [([bob.email], "Your second factor is to be reset")]
    assert "taken away" in sign_in(alice).get(path_of(bob, workspace)).content.decode()
    time_machine.move_to(FactorReset.objects.get().due_at + timedelta(seconds=margin), tick=False)
    cache.clear()
    assert is_in(with_password(bob)) is is_reset
    actions = AuditEntry.objects.filter(subject=bob.email, user=alice).values_list("action", flat=True)
    assert list(actions).count("second factor reset asked for") == 1
    assert list(actions).count("second factor reset") == (1 if is_reset else 0)


def test_the_person_objects(sign_in, alice, bob, workspace):
    with_factor(bob)
    sign_in(alice).post(path_of(bob, workspace, "second-factor/"))
    client = with_password(bob)
    client.post(CODE, {"code": code_of()})
    assert "Keep my second factor" in client.get("/accounts/second-factor/").content.decode()
    client.post("/accounts/second-factor/keep/")
    assert not FactorReset.objects.exists()
    assert second_factor.has_factor(bob)


def test_a_reset_here_shuts_the_person_out_elsewhere(alice, bob, charlie, workspace):
    elsewhere = charlie.memberships.get().workspace
    Membership.objects.create(workspace=elsewhere, user=bob, role="manager")
    with_factor(bob)
    own = bob.memberships.get(workspace=workspace)
    now = timezone.now()
    second_factor.request_reset(own, by=alice, now=now - timedelta(days=2))
    assert second_factor.apply_due_reset(bob, now=now)
    assert bob.memberships.get(workspace=elsewhere).deactivated_at
    assert bob.memberships.get(workspace=workspace).deactivated_at is None
    assert AuditEntry.objects.filter(workspace=elsewhere, action="member deactivated").exists()


def test_who_is_the_last_owner_elsewhere_is_helped_by_the_operator_only(alice, charlie, workspace):
    Membership.objects.create(workspace=workspace, user=charlie, role="viewer")
    with_factor(charlie)
    own = charlie.memberships.get(workspace=workspace)
    refused = second_factor.request_reset(own, by=alice, now=timezone.now())
    assert isinstance(refused, Refusal)
    assert "runs this installation" in refused.text
    with_password(charlie)
    call_command("resetfactor", charlie.email)
    assert not second_factor.has_factor(charlie)
    assert not SignInSession.objects.filter(user=charlie).exists()
    for wrong in (charlie.email, "nobody@example.com"):
        with pytest.raises(CommandError):
            call_command("resetfactor", wrong)


def test_nobody_resets_their_own(alice, workspace):
    with_factor(alice)
    own = alice.memberships.get()
    assert isinstance(second_factor.request_reset(own, by=alice, now=timezone.now()), Refusal)


def test_joining_with_an_account_asks_for_the_code_before_one_is_in(alice, charlie, workspace):
    from users.members import create_invitation

    with_factor(charlie)
    invited = create_invitation(workspace, email=charlie.email, role="viewer", by=alice, now=timezone.now())
    client = Client()
    client.get(f"/invitation/{invited.token}/")
    answer = client.post("/invitation/", {"name": "", "password": builders.PASSWORD})
    assert answer.headers["Location"] == CODE
    assert not is_in(client)
    client.post(CODE, {"code": code_of()})
    assert is_in(client)
