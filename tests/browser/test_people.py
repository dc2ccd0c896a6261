"""Signing in and out, pages of others, and the first start of an empty installation."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in


def test_a_wrong_password_is_refused_and_the_right_one_opens_the_overview(open_context, stack):
    page: Page = open_context(None).new_page()
    email, password = stack.sign_ins()["manager"]
    page.goto("/strategies/")
    expect(page).to_have_url(re.compile(r"/accounts/login/\?next=/strategies/$"))
    sign_in(page, email, "not-the-password")
    expect(page.get_by_role("alert")).to_contain_text("not correct")
    expect(page.get_by_label("E-mail address")).to_have_value(email)
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    sign_in(page, email, password)
    expect(page).to_have_url(f"{stack.address}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_label("You and your workspaces").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto("/strategies/")
    expect(page).to_have_url(re.compile(r"/accounts/login/"))


def test_after_signing_in_one_is_where_one_wanted_to_be(open_context, stack):
    page: Page = open_context(None).new_page()
    email, password = stack.sign_ins()["manager"]
    page.goto("/transactions/?symbol=EURUSD")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{stack.address}/transactions/?symbol=EURUSD")


def test_what_is_not_there_is_a_page_that_says_so(manager, stack):
    for path in ("/strategies/999999/", "/subscribers/999999/", "/nowhere/", "/commissions/999999/1/"):
        answer = manager.goto(path)
        assert answer.status == 404
        expect(manager.get_by_role("heading", level=1)).to_be_visible()
        assert "Traceback" not in manager.content()


def test_the_first_start_makes_the_owner_once(
    browser, stack, empty_stack
):  # the stack is a copy of the empty one, made while nobody uses it
    if not empty_stack.processes:
        empty_stack.start_web()
    context = browser.new_context(base_url=empty_stack.address)
    page = context.new_page()
    page.goto("/")
    expect(page).to_have_url(f"{empty_stack.address}/setup/")
    page.get_by_label("Name of your firm").fill("Harbour Capital")
    page.get_by_label("Your name").fill("Olivia Owner")
    page.get_by_label("E-mail address").fill("olivia@example.com")
    page.get_by_label("Password", exact=False).first.fill("short")
    page.get_by_role("button", name="Create the workspace").click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved")
    page.get_by_label("Password", exact=False).first.fill("a long harbour 41 phrase")
    page.get_by_role("button", name="Create the workspace").click()
    expect(page).to_have_url(f"{empty_stack.address}/")
    expect(page.get_by_text("Harbour Capital is ready")).to_be_visible()
    assert page.goto("/setup/").status == 404
    assert empty_stack.one("SELECT role FROM users_membership") == "owner"
    context.close()
