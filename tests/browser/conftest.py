"""What browser tests share: one real installation per worker, and pages signed in to it.

The stack has a database of its own, kept for the whole session; a test that changes something works on an account of
its own. Playwright's synchronous interface runs an event loop, beside which Django would refuse its test database to
those tests that do use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.stack import DEMO_DAYS, Stack, drop_database, make_database

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
STOPPED = ("T-3001", "T-3002", "T-3003")
# how long a page may take on a busy machine before a test gives it up; no test measures time with it
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


def _database(suffix: str) -> str:
    base = urlsplit(os.environ["DATABASE_URL"]).path.strip("/")
    return f"{base}_browser_{suffix}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


@pytest.fixture(scope="session")
def empty_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A migrated database, static files, and nobody in it; nothing runs yet."""
    folder = tmp_path_factory.mktemp("empty")
    made = Stack(folder, _database("empty"), folder / "static")
    make_database(made.name)
    try:
        made.manage("migrate", "--verbosity", "0")
        made.manage("collectstatic", "--noinput", "--verbosity", "0", "--ignore", "htm*-4.*", "--ignore", "ext")
        make_database(spare_of(made), template=made.name)
        yield made
    finally:
        made.stop()
        drop_database(made.name)
        drop_database(spare_of(made))


def spare_of(empty: Stack) -> str:
    """A database like the empty one that nobody ever uses, so that it can be copied at any time."""
    return f"{empty.name}_spare"


@pytest.fixture(scope="session")
def stack(empty_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo in short: real trades of the embedded backend, mirrored, and served."""
    made = Stack(tmp_path_factory.mktemp("stack"), _database("demo"), empty_stack.static_root)
    make_database(made.name, template=empty_stack.name)
    try:
        made.manage("demo", "history", "--days", str(DEMO_DAYS))
        made.start_backend()
        made.stop_out(*STOPPED)
        made.manage("demo", "people")
        made.sync()
        made.start_web()
        yield made
    finally:
        made.stop()
        drop_database(made.name)


@pytest.fixture(scope="session")
def base_url(stack: Stack) -> str:
    """Relative addresses in tests are of the stack."""
    return stack.address


# --- Signed in --------------------------------------------------------------------------------------------------------
def sign_in(page: Page, email: str, password: str) -> None:
    """Fill in the form and send it."""
    page.goto("/accounts/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.fixture(scope="session")
def states(browser: Browser, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Cookies of each person after signing in once."""
    kept = {}
    for role, (email, password) in stack.sign_ins().items():
        context = browser.new_context(base_url=stack.address)
        page = context.new_page()
        sign_in(page, email, password)
        page.wait_for_url(re.compile(r"/(me/)?$"))
        kept[role] = tmp_path_factory.mktemp("state") / f"{role}.json"
        context.storage_state(path=kept[role])
        context.close()
    return kept


SETTLED = """() => document.readyState === "complete" && typeof htmx !== "undefined"
  && !document.querySelector(".htmx-request, [hx-trigger^=load][hx-swap=outerHTML]")
  && [...document.querySelectorAll(".awaited")].every((cell) => cell.childNodes.length)
  && [...document.querySelectorAll("[data-chart]")].every((chart) => chart.querySelector("canvas, .chart-message"))"""


def settle(page: Page) -> None:
    """Wait until the page has everything it fetches after it was opened."""
    page.wait_for_function(SETTLED)


Opens = Callable[..., BrowserContext]


@pytest.fixture
def open_context(browser: Browser, stack: Stack, states: dict[str, Path]) -> Iterator[Opens]:
    """A function that opens a browser as a role (None: nobody), with Playwright's options; closed after the test."""
    opened = []

    def open_as(role: str | None, **options) -> BrowserContext:
        options = {"base_url": stack.address, "viewport": {"width": 1440, "height": 900}, **options}
        context = browser.new_context(storage_state=states[role] if role else None, **options)
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        return context

    yield open_as
    for context in opened:
        context.close()


@pytest.fixture
def manager(open_context: Opens) -> Page:
    """A page of the demo's manager."""
    return open_context("manager").new_page()


@pytest.fixture
def subscriber(open_context: Opens) -> Page:
    """A page of the demo's subscriber."""
    return open_context("subscriber").new_page()
