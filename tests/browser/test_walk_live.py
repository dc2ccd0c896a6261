"""From a strategy to what it did to one account, over lists with filters and pages."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import settle


def test_from_the_list_of_strategies_to_the_terms_of_one_subscription(manager):
    manager.goto("/strategies/")
    settle(manager)
    rows = manager.locator("#strategies tbody tr")
    assert rows.count() >= 7
    expect(rows.first.locator("[id$=-equity]")).to_have_text(re.compile(r"\d"))
    manager.locator(".filters").get_by_role("searchbox").fill("trend")
    expect(rows).to_have_count(1)
    expect(manager).to_have_url(re.compile(r"q=trend"))
    rows.get_by_role("link", name="Trend majors").click()
    expect(manager.get_by_role("heading", level=1)).to_have_text("Trend majors")
    settle(manager)
    expect(manager.locator("#content canvas").first).to_be_visible()

    tabs = manager.get_by_role("navigation", name="Strategy")
    for name in ("Settings", "Transactions", "Commission", "Log", "Subscribers"):
        tabs.get_by_role("link", name=name).click()
        expect(tabs.locator("[aria-current=page]")).to_have_text(name)
        expect(manager.get_by_role("heading", level=1)).to_have_text("Trend majors")
    account = manager.locator("#subscribers tbody a.name").first
    name = account.inner_text()
    account.click()
    expect(manager.get_by_role("heading", level=1)).to_have_text(name)
    manager.get_by_role("navigation", name="Subscriber").get_by_role("link", name="Subscriptions").click()
    expect(manager.get_by_role("link", name="Trend majors")).to_be_visible()
    manager.locator("details.effective:not([open]) summary").first.or_(manager.locator("h1")).first.click()
    expect(manager.locator(".settings-table").first).to_contain_text("Set by")


def test_filters_are_chips_and_going_back_brings_them_back(manager):
    manager.goto("/transactions/")
    rows = manager.locator("#transactions tbody tr")
    assert rows.count() == 50
    filters = manager.locator(".filters")
    filters.get_by_label("Type").select_option("Buy")
    expect(manager.locator(".chip")).to_have_count(1)
    expect(manager).to_have_url(re.compile(r"type=DEAL_TYPE_BUY"))
    filters.get_by_label("Symbol").fill("EURUSD")
    filters.get_by_label("Symbol").press("Enter")
    expect(manager.locator(".chip")).to_have_count(2)
    expect(manager.locator("#transactions td[data-label=Symbol]")).to_have_text(["EURUSD"] * rows.count())
    both = manager.url
    manager.locator(".chip").filter(has_text="Buy").click()
    expect(manager.locator(".chip")).to_have_count(1)
    expect(filters.get_by_label("Type")).to_have_value("")
    manager.go_back()
    expect(manager).to_have_url(both)
    expect(manager.locator(".chip")).to_have_count(2)
    expect(filters.get_by_label("Type")).to_have_value("DEAL_TYPE_BUY")
    manager.go_back()
    expect(manager.locator(".chip")).to_have_count(1)
    expect(filters.get_by_label("Symbol")).to_have_value("")
    manager.go_forward()
    expect(filters.get_by_label("Symbol")).to_have_value("EURUSD")
    manager.get_by_role("link", name="Clear", exact=True).click()
    expect(manager.locator(".chip")).to_have_count(0)


def test_pages_go_on_and_back_without_losing_a_row(manager):
    manager.goto("/transactions/?type=DEAL_TYPE_SELL&sort=time")
    shown = manager.locator("#transactions tbody")
    first = shown.inner_text()
    manager.get_by_role("link", name="Next").click()
    expect(manager.locator(".pager [rel=prev]")).to_be_visible()
    second = shown.inner_text()
    assert second != first
    expect(manager.locator(".chip")).to_have_count(1)
    manager.get_by_role("link", name="Next").click()
    expect(manager.locator("#transactions tbody")).not_to_have_text(second, use_inner_text=True)
    manager.locator(".pager [rel=prev]").click()
    expect(shown).to_have_text(second, use_inner_text=True)
    manager.locator(".pager [rel=prev]").click()
    expect(shown).to_have_text(first, use_inner_text=True)


def test_commissions_down_to_what_one_line_was_computed_from(manager, stack):
    manager.goto("/commissions/")
    settle(manager)
    strategy = stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Rev1'")
    manager.locator(f"main a[href*='/strategies/{strategy}/commission/']").first.click()
    expect(manager.get_by_role("heading", level=1)).to_contain_text("Reversion crosses")
    manager.locator("main table a.name").first.click()
    expect(manager.get_by_role("heading", level=1)).to_contain_text("Commission of Account")
    line = manager.locator("details.line").first
    amount = line.locator(".line-amount").inner_text()
    line.locator("summary").click()
    expect(line.locator(".line-why")).to_be_visible()
    expect(line.locator(".line-why dl").first).to_contain_text(re.match(r"[\d\s.]+", amount)[0].strip())
    line.get_by_role("link", name="The deal").click()
    expect(manager.locator("#transactions tbody tr")).to_have_count(1)
