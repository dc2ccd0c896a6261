"""A month's end in a real browser: close, issue, record a payment; the client sees what is left and why."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from reporting.commission.services import accrue_workspace
from reporting.models import DailyResult, Transaction
from tests import builders


@pytest.fixture
def month(workspace, dora):
    """An account that gained 500 USD seventy days ago, of which 20 % are owed."""
    connection = builders.connection(workspace)
    scheme = {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}
    strategy = builders.strategy(
        connection, name="Alpine Trend", backend_id="alpine", document={"commissionScheme": scheme}
    )
    account = builders.subscriber(connection, access=dora, name="Dora Keller", backend_id="dora")
    builders.subscription(account, strategy, first_seen_at=builders.LONG_AGO)
    now = timezone.now()
    at = now - timedelta(days=70)
    given = {"workspace": workspace, "connection": connection, "subscriber_id": "dora", "strategy_id": "alpine"}
    Transaction.objects.create(
        **given,
        backend_id="1:close",
        time=at,
        type="DEAL_TYPE_SELL",
        symbol="EURUSD",
        position_id="p1",
        volume_lots=Decimal("0.1"),
        amount=Decimal(11000),
        profit=Decimal(500),
        swap=0,
        commission=0,
        improvement=0,
        provider_commission=Decimal(100),
        platform_commission=0,
    )
    DailyResult.objects.create(**given, day=at.date(), deals=1, profit=Decimal(500))
    accrue_workspace(workspace.pk, now)


def sign_in(page, live_server, name):
    page.goto(f"{live_server.url}/accounts/login/")
    page.get_by_label("E-mail").fill(f"{name}@example.com")
    page.get_by_label("Password", exact=True).fill(builders.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_a_months_end(page, live_server, alice, dora, month):
    sign_in(page, live_server, "alice")
    page.goto(f"{live_server.url}/commissions/periods/")
    page.get_by_role("link", name="Close 1 ended").click()
    page.get_by_role("button", name="Close 1 period").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("never be changed again")
    dialog.get_by_role("button", name="Close").click()
    live_line = page.locator("div.job-line[role=status]")
    expect(live_line).to_have_count(1)  # it came after the page
    expect(page.get_by_text("1 billing period is closed.")).to_have_count(1)
    expect(page.locator("#toasts").get_by_text("1 billing period is closed.")).to_be_visible()
    page.get_by_role("navigation", name="Commissions").get_by_role("link", name="Statements").click()
    page.get_by_role("link", name="Issue statements").first.click()
    page.get_by_role("button", name="Issue 1 statement").click()
    dialog.get_by_role("button", name="Issue").click()
    page.get_by_role("link", name="S-000001").click()
    page.get_by_role("link", name="Record a payment").click()
    page.get_by_label("Amount received").fill("40")
    page.get_by_role("button", name="Record the payment").click()
    expect(page.get_by_text("Payment recorded: 40.00 USD on S-000001.")).to_be_visible()
    page.context.clear_cookies()
    sign_in(page, live_server, "dora")
    page.goto(f"{live_server.url}/me/statements/")
    page.get_by_role("link", name="S-000001").click()
    expect(page.locator(".figures")).to_contain_text("60.00")
    expect(page.locator("#lines")).to_contain_text("profit 500.00 USD")
    expect(page.get_by_role("button", name="Void the statement")).to_have_count(0)
