"""What pages do with scripts, they do without: more clicks, the same answers."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import sign_in


def test_signing_in_filtering_and_opening_work_without_scripts(open_context, stack):
    page = open_context(None, java_script_enabled=False).new_page()
    sign_in(page, *stack.sign_ins()["manager"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Subscribers").click()
    filters = page.locator(".filters")
    filters.get_by_label("Currency").select_option("EUR")
    filters.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile(r"currency=EUR"))
    expect(page.locator(".chip")).to_contain_text("EUR")
    page.locator("#subscribers tbody a.name").first.click()
    expect(page.get_by_role("navigation", name="Subscriber")).to_be_visible()
    page.get_by_role("link", name="Show results").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.goto("/transactions/")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#transactions tbody tr")).to_have_count(50)


def test_a_stopout_offers_its_form_without_scripts(open_context):
    page = open_context("manager", java_script_enabled=False).new_page()
    page.goto("/stopouts/?q=T-3003&state=active")
    form = page.locator("form[action$='/reset/']")
    expect(form).to_have_attribute("method", "post")
    expect(form.get_by_role("button", name="Resume")).to_be_enabled()
