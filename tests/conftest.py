"""What every test shares: services, where a kind of test may reach, people, and how the browser starts.

`make test` starts the services before pytest so that all workers share them; plain `pytest` finds them in DATABASE_URL
and REDIS_URL and says so when they are missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
import pytest_socket
import redis
from django.conf import settings
from django.core.cache import cache

from tests import builders

# how long an example takes says something of the machine only
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TESTS = Path(__file__).parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
NO_CHROMIUM = "no chromium on PATH: browser tests did NOT run (Debian: apt install chromium)"


NEED_SERVICES = ("integration", "browser", "faults", "simulation")
NO_SERVICES = (
    "{} cannot be reached: run these tests with `make test ARGS=...`, which starts PostgreSQL and Valkey for them, "
    "or set DATABASE_URL and REDIS_URL. Unit tests need neither."
)


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).parts[0]


def missing_service() -> str:
    """The name of a service that does not answer, or nothing. What is off refuses at once, what is busy takes time."""
    database = settings.DATABASES["default"]
    # a private server's socket is named among the options
    address = {name: value for name, value in database.get("OPTIONS", {}).items() if name in ("host", "port")}
    address |= {name.lower(): database[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if database[name]}
    try:
        # the tests make a database of their own, so the portal's need not exist
        psycopg.connect(dbname="postgres", connect_timeout=30, **address).close()
    except psycopg.OperationalError:
        return "PostgreSQL"
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=30, socket_connect_timeout=30).ping()
    except redis.RedisError:
        return "Redis"
    return ""


def refuse_without_services() -> None:
    """Say at once what is missing, instead of failing test by test after ten seconds each."""
    missing = missing_service()
    if missing:
        pytest.exit(NO_SERVICES.format(missing), returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_sessionstart(session: pytest.Session) -> None:
    """With several processes the first one collects nothing, so it goes by the paths that it was started with."""
    if not getattr(session.config.option, "numprocesses", None):
        return
    paths = [Path(argument.partition("::")[0]).resolve() for argument in session.config.args]
    needing = [TESTS / kind for kind in NEED_SERVICES]
    if any(path.is_relative_to(folder) or folder.is_relative_to(path) for path in paths for folder in needing):
        refuse_without_services()


def pytest_collection_finish(session: pytest.Session) -> None:
    """In one process only tests that will run count."""
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or session.config.option.collectonly:
        return
    if any(_kind(item) in NEED_SERVICES for item in session.items):
        refuse_without_services()


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
