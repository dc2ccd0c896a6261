"""A manager's walk in a real browser: sign in, a strategy, an account, resuming it after a stopout, and a download."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from reporting.models import EquityPoint
from subscribers.models import Stopout
from tests import builders
from tests.faults.sim_backend import SimBackend


@pytest.fixture
def backend():
    with SimBackend() as running:
        yield running


@pytest.fixture
def firm(workspace, alice, backend):
    """One strategy, one account that copies it, three days of equity, and an active stopout."""
    now = timezone.now()
    connection = builders.connection(workspace, base_url=backend.url)
    strategy = builders.strategy(connection, name="Alpine Trend", backend_id="alpine")
    account = builders.subscriber(
        connection, name="Dora Keller", backend_id="dora", equity=Decimal(1100), balance=Decimal(1000), measured_at=now
    )
    builders.subscription(account, strategy, multiplier=2, first_seen_at=now)
    for days in range(3):
        EquityPoint.objects.create(
            connection=connection, account_id="dora", time=now - timedelta(days=days), balance=1000, equity=1100 - days
        )
    backend.subscribers.append({"_id": "dora", "name": "Dora Keller", "subscriptions": [{"strategyId": "alpine"}]})
    return Stopout.objects.create(
        workspace=workspace, connection=connection, subscriber=account, strategy=strategy,
        strategy_backend_id="alpine", reason="day-balance-difference", stopped_at=now,
        stopped_till=now + timedelta(hours=5),
    )  # fmt: skip


@pytest.fixture
def signed_in(page, live_server, alice):
    """The browser with Alice signed in; anything a page complains about fails the test."""
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{live_server.url}/accounts/login/")
    page.get_by_label("E-mail").fill("alice@example.com")
    page.get_by_label("Password", exact=True).fill(builders.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    complaints.clear()
    yield page
    assert complaints == []


def test_from_sign_in_to_a_resumed_account_and_its_file(firm, signed_in, live_server, backend):
    page = signed_in
    page.goto(f"{live_server.url}/strategies/")
    expect(page.locator(f"#s{firm.strategy_id}-equity")).to_have_text("1\u202f100.00")
    page.get_by_role("link", name="Alpine Trend").click()
    expect(page.locator("#performance canvas").first).to_be_visible()
    page.get_by_role("navigation", name="Strategy").get_by_role("link", name="Subscribers").click()
    page.get_by_role("link", name="Dora Keller").click()
    expect(page.get_by_text("The closed loss within a day reached its limit")).to_be_visible()

    page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Resume Dora Keller on Alpine Trend?")
    dialog.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status").filter(has_text="Dora Keller copies again.")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    assert backend.resets[0].endswith("/subscription-strategies/alpine/stopouts/day-balance-difference/reset")

    page.goto(f"{live_server.url}/stopouts/?state=past")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    assert len(rows) == 2
    assert ",Dora Keller,dora,Alpine Trend,alpine,day-balance-difference," in rows[1]


def test_cancelling_the_dialog_changes_nothing(firm, signed_in, live_server, backend):
    page = signed_in
    page.goto(f"{live_server.url}/stopouts/")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert backend.resets == []


@pytest.mark.parametrize("path", ["/strategies/", "/subscribers/", "/stopouts/", "/commissions/"])
def test_pages_fit_a_phone(path, firm, signed_in, live_server):
    signed_in.set_viewport_size({"width": 360, "height": 800})
    signed_in.goto(f"{live_server.url}{path}")
    signed_in.wait_for_load_state("networkidle")
    assert signed_in.evaluate("document.documentElement.scrollWidth") <= 360
