"""A form that is sent when the session has ended: not done, said where it stands, and typed values in it again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_pages import WIDER, barriers


@pytest.fixture
def page(open_context) -> Page:
    """A page of a browser in which nobody is signed in yet."""
    return open_context(None, viewport={"width": 360, "height": 780}).new_page()


def type_signal(page: Page, stack) -> str:
    """Fill in the form of a signal; return the path of its page."""
    strategy = stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Trd1'")
    sign_in(page, *stack.sign_ins()["manager"])
    page.goto(f"/strategies/{strategy}/signals/")
    form = page.locator("#send-signal")
    form.get_by_label("Symbol").fill("EURUSD")
    form.get_by_label("What").select_option(label="Sell")
    form.get_by_label("Volume").fill("0.37")
    return f"/strategies/{strategy}/signals/"


def stands_again(page: Page, stack, path: str, text: str) -> None:
    expect(page).to_have_url(f"{stack.address}{path}")
    form = page.locator("#send-signal")
    expect(form.get_by_role("alert")).to_contain_text(text)
    expect(form.get_by_role("alert")).to_be_in_viewport()
    expect(form.get_by_label("Symbol")).to_have_value("EURUSD")
    expect(form.locator("[name=type]")).to_have_value("POSITION_TYPE_SELL")
    expect(form.get_by_label("Volume")).to_have_value("0.37")
    assert page.evaluate(WIDER) <= 0
    assert barriers(page) == []


@pytest.mark.parametrize("is_confirming", [False, True])
def test_signed_out_the_form_stands_again_with_what_was_typed(is_confirming, page, stack):
    path = type_signal(page, stack)
    look = page.get_by_role("button", name="Look at it, then send")
    if is_confirming:
        look.click()
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    page.context.clear_cookies()
    (page.get_by_role("button", name="Send", exact=True) if is_confirming else look).click()
    email, password = stack.sign_ins()["manager"]
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    stands_again(page, stack, path, "Not sent: you were signed out")
    page.reload()
    expect(page.get_by_text("Not sent")).to_have_count(0)


def test_signed_in_again_in_another_tab_the_form_stands_again(page, stack):
    path = type_signal(page, stack)
    page.context.clear_cookies()
    other = page.context.new_page()
    sign_in(other, *stack.sign_ins()["manager"])
    expect(other.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_role("button", name="Look at it, then send").click()
    stands_again(page, stack, path, "Not sent: you signed in again")


def test_the_button_that_unfolds_filters_is_on_phones_only(manager):
    manager.goto("/transactions/")
    expect(manager.get_by_role("button", name="Filters")).to_be_hidden()
    manager.set_viewport_size({"width": 360, "height": 780})
    expect(manager.get_by_role("button", name="Filters")).to_be_visible()
