"""A setting is changed in a real browser: form, review with its look back, save, undo, all at a real backend."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SETTLED
from tests.browser.test_pages import UNNAMED, WIDER, complaints_of


@pytest.fixture
def account(stack, manager):
    """A function that creates an account through the pages; returns the path of its subscriptions."""

    def create(name: str) -> str:
        manager.goto("/subscribers/new/")
        manager.get_by_label("Trading account").fill(name)
        manager.get_by_label("Subscriptions: Strategy").select_option(label="Trend majors")
        manager.get_by_label("Name", exact=True).fill(f"Account {name}")
        manager.locator(".form-bar").get_by_role("button", name="Review the change").click()
        expect(manager.get_by_role("heading", level=1)).to_have_text(f"Review: Account {name}")
        manager.get_by_role("button", name="Create").click()
        expect(manager.get_by_text(f"Account {name} is created.")).to_be_visible()
        return re.sub(r"^https?://[^/]+", "", manager.url)

    return create


def of_the_page(complaints: list[str]) -> list[str]:
    """Without what was still on its way when its page was left."""
    return [one for one in complaints if "ERR_ABORTED" not in one]


def ratio_of(stack, name: str) -> float:
    with stack.client() as client:
        return client.subscriber(name)["subscriptions"][0].get("multiplier", 1)


def test_a_ratio_is_changed_after_a_look_saved_and_undone(account, manager: Page, stack):
    complaints = complaints_of(manager)
    home = account("E-9001")
    manager.get_by_role("link", name="Change the terms").click()
    ratio = manager.get_by_label("Ratio", exact=True)
    expect(manager.locator("[data-setting=multiplier] .holds")).to_contain_text("× 1")
    ratio.fill("2.5")
    ratio.press("Enter")
    expect(manager.get_by_role("heading", level=1)).to_have_text("Review: Account E-9001")
    row = manager.locator(".differences tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Ratio")
    expect(row.locator(".becomes")).to_contain_text("2.5")
    expect(manager.locator("#what-if .compare")).to_be_visible(timeout=40_000)
    assert manager.evaluate(UNNAMED) == []
    assert ratio_of(stack, "E-9001") == 1

    manager.get_by_role("button", name="Save").click()
    expect(manager).to_have_url(re.compile(re.escape(home)))
    expect(manager.locator(".ratio-line")).to_contain_text("2.5")
    assert ratio_of(stack, "E-9001") == 2.5

    manager.get_by_role("button", name="Undo").click()
    expect(manager.locator(".differences .becomes")).to_contain_text("not set")
    manager.get_by_role("button", name="Save").click()
    expect(manager.get_by_text("Account E-9001 is saved.")).to_be_visible()
    assert ratio_of(stack, "E-9001") == 1
    manager.get_by_role("navigation", name="Subscriber").get_by_role("link", name="Changes").click()
    expect(manager.locator("#changes tbody tr")).to_have_count(3)
    assert of_the_page(complaints) == []


def test_a_wrong_number_is_said_at_its_input_and_corrected_without_scripts(account, open_context, stack):
    home = account("E-9002")
    page = open_context("manager", java_script_enabled=False, viewport={"width": 360, "height": 780}).new_page()
    page.goto(home)
    page.get_by_role("link", name="Change the terms").click()
    page.get_by_label("Ratio", exact=True).fill("double")
    page.locator(".form-bar").get_by_role("button", name="Review the change").click()
    expect(page.get_by_role("alert")).to_contain_text("This must be a number")
    page.get_by_label("Ratio", exact=True).fill("2")
    page.locator("summary", has_text="Protection").click()
    page.locator("#rows-riskLimits").get_by_role("button", name="Add a row").click()
    expect(page.locator("#rows-riskLimits .row-inputs")).to_have_count(2)
    expect(page.get_by_label("Ratio", exact=True)).to_have_value("2")
    page.locator(".form-bar").get_by_role("button", name="Review the change").click()
    page.get_by_role("link", name="Look back over the last 30 days").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What it would have done")
    page.get_by_role("link", name="Back to the review").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Account E-9002 is saved.")).to_be_visible()
    assert ratio_of(stack, "E-9002") == 2


def test_a_row_is_added_in_place_and_the_page_stays_where_it_was(manager: Page, stack):
    complaints = complaints_of(manager)
    manager.goto("/strategies/new/")
    manager.get_by_label("Name", exact=True).fill("Unfinished")
    manager.locator("summary", has_text="Symbols").first.click()
    mapping = manager.locator("#rows-symbolMapping")
    mapping.get_by_label("Symbols under another name: From").fill("EURUSD")
    mapping.get_by_role("button", name="Add a row").click()
    expect(mapping.locator(".row-inputs")).to_have_count(2)
    expect(mapping.get_by_label("Symbols under another name: From").first).to_have_value("EURUSD")
    expect(manager.get_by_label("Name", exact=True)).to_have_value("Unfinished")
    assert of_the_page(complaints) == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1440, "light")])
def test_a_review_and_its_look_back_fit_every_screen(width, scheme, open_context, stack):
    page = open_context("manager", viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    number = stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Trd1'")
    page.goto(f"/strategies/{number}/edit/")
    page.get_by_label("Largest trade", exact=True).fill("0.05")
    page.locator(".form-bar").get_by_role("button", name="Review the change").click()
    expect(page.locator("#what-if .compare")).to_be_visible(timeout=40_000)
    page.locator(".what-if-signals summary").first.click()
    page.wait_for_function(SETTLED)
    assert page.evaluate(WIDER) <= 0
    assert page.evaluate(UNNAMED) == []
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("The change was discarded.")).to_be_visible()


def test_removing_asks_for_the_name_by_keyboard_alone(account, manager: Page, stack):
    home = account("E-9003")
    manager.goto(home.replace("subscriptions/", "remove/"))
    manager.get_by_label("Let go").focus()
    manager.keyboard.press("Space")
    manager.get_by_role("button", name="Review the removal").press("Enter")
    expect(manager.locator("#positions")).to_contain_text("No copied position is open")
    typed = manager.get_by_label("Type Account E-9003")
    typed.fill("Account E-9003")
    typed.press("Enter")
    expect(manager.get_by_text("Account E-9003 is being removed.")).to_be_visible()
    with stack.client() as client:
        assert "E-9003" not in [one["_id"] for one in client.subscribers()]
