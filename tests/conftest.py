"""What every test shares: services, where a kind of test may reach, people, and how the browser starts.

`make test` starts the services before pytest so that all workers share them; plain `pytest` finds them in DATABASE_URL
and REDIS_URL and says so when they are missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
from django.core.cache import cache

from tests import builders

TESTS = Path(__file__).parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
NO_CHROMIUM = "no chromium on PATH: browser tests did NOT run (Debian: apt install chromium)"


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip browser tests loudly where there is no chromium (CI must have one), and put them last.

    Playwright keeps an event loop running in the main thread, beside which no later test could use asyncio.run.
    """
    items.sort(key=lambda item: _kind(item) == "browser")
    browser = [item for item in items if _kind(item) == "browser"]
    if browser and not CHROMIUM and os.environ.get("CI", "").lower() in ("", "0", "false"):
        for item in browser:
            item.add_marker(pytest.mark.skip(reason=NO_CHROMIUM))


def pytest_terminal_summary(terminalreporter) -> None:
    """Repeat at the end that the browser was not tried."""
    if any(NO_CHROMIUM in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_sep("!", NO_CHROMIUM)


@pytest.fixture(autouse=True)
def _reach(request: pytest.FixtureRequest) -> Iterator[None]:
    """Unit tests open no network connection; sockets of one machine stay, asyncio needs a pair of them."""
    if _kind(request.node) != "unit":
        yield
        return
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(autouse=True)
def _no_cache_left(request: pytest.FixtureRequest) -> None:
    """A test with a database also begins with an empty cache: rate limits and sessions live there."""
    if _kind(request.node) in ("integration", "browser", "faults"):
        cache.clear()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Debian's chromium, without what it would ask of the network."""
    if not CHROMIUM:
        pytest.fail(NO_CHROMIUM)
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync"]
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": quiet}


# --- People: Alice owns, Bob views for her, Charlie is a stranger, Dora is a subscriber ------------------------------
@pytest.fixture
def workspace(db):
    return builders.workspace()


@pytest.fixture
def alice(workspace):
    return builders.member(workspace, "alice", "owner")


@pytest.fixture
def bob(workspace):
    return builders.member(workspace, "bob", "viewer")


@pytest.fixture
def charlie(db):
    return builders.member(builders.workspace(name="Elsewhere"), "charlie", "owner")


@pytest.fixture
def dora(workspace):
    return builders.member(workspace, "dora", "subscriber")


@pytest.fixture
def sign_in(client):
    """A function that signs a person in with Django's test client and returns it; None means nobody."""

    def as_person(person):
        client.logout()
        if person is not None:
            client.force_login(person)
        return client

    return as_person
