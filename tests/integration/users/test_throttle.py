"""Guessing is slowed down per account and source; nobody can keep anybody else out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests import builders
from users import throttle
from users.throttle import begin_attempt, forgive_attempt, may_act

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock_stands_still(time_machine):
    """However slow the machine: no wait ends while a test tries."""
    time_machine.move_to(NOON, tick=False)


ANN, HOME, OFFICE = "ann@example.com", "203.0.113.7", "198.51.100.9"


def attempt(account=ANN, source=HOME, *, after_s=0.0, network=None):
    return begin_attempt(account, source, network=network, now=NOON + timedelta(seconds=after_s))


def test_the_wait_doubles_after_the_free_failures_up_to_the_ceiling():
    waits, clock = [], 0.0
    for _ in range(20):
        assert attempt(after_s=clock) == 0
        waits.append(attempt(after_s=clock))
        if waits[-1] == 0:  # that was another failure, counted like any
            waits[-1] = attempt(after_s=clock)
        clock += waits[-1]
    assert waits[-1] == throttle.LONGEST_DELAY_S
    growing = [wait for wait in waits if wait]
    assert growing == sorted(growing)
    assert growing[:4] == [1, 2, 4, 8]


def test_the_wait_ends_with_its_last_millisecond():
    for _ in range(throttle.FREE_FAILURES):
        assert attempt() == 0
    assert attempt(after_s=0.999) == 1
    assert attempt(after_s=1.0) == 0


def test_another_source_and_another_account_are_not_held_up():
    for _ in range(throttle.FREE_FAILURES + 1):
        attempt()
    assert attempt() > 0
    assert attempt(source=OFFICE) == 0
    assert attempt("bob@example.com") == 0
    assert attempt(" ANN@example.com ") > 0


def test_success_forgets_the_failures_of_that_account_there():
    for _ in range(throttle.FREE_FAILURES):
        attempt()
    assert attempt(after_s=1) == 0
    forgive_attempt(ANN, HOME, network=None, now=NOON)
    assert [attempt(after_s=2) for _ in range(throttle.FREE_FAILURES)] == [0] * throttle.FREE_FAILURES


def test_a_clock_that_was_ahead_holds_nobody_up_beyond_the_ceiling():
    for _ in range(throttle.FREE_FAILURES):
        attempt(after_s=86_400)
    assert 0 < attempt() <= throttle.LONGEST_DELAY_S


def test_attempts_at_the_same_time_share_the_free_failures():
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: attempt(), range(64)))
    assert waits.count(0) == throttle.FREE_FAILURES


def test_one_network_fails_only_so_often_over_all_accounts():
    tries = [attempt(f"{number}@example.com", HOME, network=HOME) for number in range(throttle.SOURCE_FAILURES + 1)]
    assert tries[:-1] == [0] * throttle.SOURCE_FAILURES
    assert tries[-1] > 0
    assert attempt(ANN, HOME, network=None) == 0, "a known browser, or a network that is everybody's"
    assert attempt(ANN, OFFICE, network=OFFICE) == 0
    assert attempt(ANN, HOME, network=HOME, after_s=throttle.SOURCE_WINDOW_S) == 0


def test_an_own_account_does_not_clear_the_network_between_guesses():
    for number in range(throttle.SOURCE_FAILURES):
        assert attempt(f"{number}@example.com", HOME, network=HOME) == 0
        if attempt("own@example.com", HOME, network=HOME) == 0:
            forgive_attempt("own@example.com", HOME, network=HOME, now=NOON)
    assert attempt("next@example.com", HOME, network=HOME) > 0


def test_forms_are_counted_in_windows():
    tries = [may_act("reset", HOME, limit=2, window_s=60, now=NOON) for _ in range(3)]
    assert tries == [True, True, False]
    assert may_act("reset", OFFICE, limit=2, window_s=60, now=NOON)
    assert may_act("other", HOME, limit=2, window_s=60, now=NOON)
    assert may_act("reset", HOME, limit=2, window_s=60, now=NOON + timedelta(seconds=60))


# --- At the sign-in ---------------------------------------------------------------------------------------------------
def sign_in_from(client, address, email, password=builders.PASSWORD):
    client.cookies.pop("sessionid", None)
    return client.post("/accounts/login/", {"login": email, "password": password}, REMOTE_ADDR=address)


@pytest.fixture
def attacked(client, alice):
    """Alice's account after twenty guesses from elsewhere."""
    for number in range(20):
        sign_in_from(client, OFFICE, alice.email, f"guess number {number}")
    return alice


def test_a_stranger_locks_nobody_out(client, attacked):
    refused = sign_in_from(client, OFFICE, attacked.email)
    assert "Too many wrong passwords came from here" in refused.content.decode()
    assert sign_in_from(client, HOME, attacked.email).status_code == 302


def test_ipv6_neighbours_are_one_source(client, alice):
    for number in range(10):
        sign_in_from(client, f"2001:db8:1:2::{number + 1}", alice.email, "a wrong password")
    assert sign_in_from(client, "2001:db8:1:2:ffff::1", alice.email).status_code == 200
    assert sign_in_from(client, "2001:db8:1:3::1", alice.email).status_code == 302


def test_a_browser_that_signed_in_before_is_not_held_up_by_guesses_from_its_own_network(client, alice, settings):
    assert sign_in_from(client, OFFICE, alice.email).status_code == 302
    device = client.cookies["device"]
    client.cookies.clear()
    for _ in range(10):
        sign_in_from(client, OFFICE, alice.email, "a wrong password")
    assert sign_in_from(client, OFFICE, alice.email).status_code == 200
    client.cookies["device"] = device.value
    assert sign_in_from(client, OFFICE, alice.email).status_code == 302


def test_the_device_of_one_person_is_nobody_elses(client, alice, bob):
    assert sign_in_from(client, OFFICE, alice.email).status_code == 302
    for _ in range(10):
        sign_in_from(client, OFFICE, bob.email, "a wrong password")
    assert sign_in_from(client, OFFICE, bob.email).status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", "x:y:z", "WyJhIl0:1abc:sig"])
def test_a_forged_device_is_none(client, alice, cookie):
    client.cookies["device"] = cookie
    for _ in range(10):
        sign_in_from(client, OFFICE, alice.email, "a wrong password")
    client.cookies["device"] = cookie
    assert sign_in_from(client, OFFICE, alice.email).status_code == 200


def test_behind_a_trusted_proxy_everybody_has_their_own_source(client, alice, settings):
    settings.TRUSTED_PROXIES = 1

    def through_proxy(forwarded, password=builders.PASSWORD):
        client.logout()
        client.cookies.clear()
        form = {"login": alice.email, "password": password}
        return client.post("/accounts/login/", form, REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": forwarded})

    for number in range(60):  # the attacker's own entries change nothing: the proxy appends the true one
        through_proxy(f"192.0.2.{number}, {OFFICE}", "a wrong password")
    assert through_proxy(f"192.0.2.99, {OFFICE}").status_code == 200
    assert through_proxy(HOME).status_code == 302


def test_a_proxy_that_nobody_configured_does_not_lock_out_everybody(client, alice, bob, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for number in range(throttle.SOURCE_FAILURES + 10):
        sign_in_from(client, "10.0.0.1", f"nobody-{number}@example.com", "a wrong password")
    assert sign_in_from(client, "10.0.0.1", bob.email).status_code == 302


def test_known_and_unknown_addresses_are_slowed_down_alike(client, alice):
    def answers(email):
        return [sign_in_from(client, HOME, email, "a wrong password").content.decode() for _ in range(8)]

    known, unknown = answers(alice.email), answers("nobody@example.com")
    say = "Too many wrong passwords"
    assert [say in page for page in known] == [say in page for page in unknown]
    assert say in known[-1]
