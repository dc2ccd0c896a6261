"""Signing in and out, pages of others, and the first start of an empty installation."""

from __future__ import annotations

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_pages import UNNAMED, WIDER, barriers


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


@pytest.mark.parametrize("has_scripts", [True, False])
def test_a_client_is_invited_from_their_account_and_joins_on_a_phone(open_context, has_scripts):
    desk: Page = open_context("manager", java_script_enabled=has_scripts).new_page()
    desk.goto("/subscribers/")
    desk.locator("#subscribers tbody a.name").first.click()
    desk.get_by_role("navigation", name="Subscriber").get_by_role("link", name="Access").click()
    desk.get_by_role("link", name=re.compile("Invite")).first.click()
    email = f"client-{has_scripts}@example.com".lower()
    desk.get_by_label("E-mail address").fill(email)
    expect(desk.get_by_label("Role")).to_have_value("subscriber")
    assert desk.get_by_role("checkbox", checked=True).count() == 1
    desk.keyboard.press("Enter")
    link = desk.get_by_label("Link to join as subscriber").input_value()

    options = {"viewport": {"width": 360, "height": 740}, "java_script_enabled": has_scripts}
    phone: Page = open_context(None, **options).new_page()
    phone.goto(link)
    expect(phone).to_have_url(re.compile("/invitation/$"))
    expect(phone.get_by_text(email)).to_be_visible()
    if has_scripts:
        for page in (desk, phone):
            assert (page.evaluate(UNNAMED), page.evaluate(WIDER) <= 0, barriers(page)) == ([], True, [])
    phone.get_by_label("Your name").fill("Clara Client")
    phone.get_by_label("Password", exact=True).fill("password12")
    phone.get_by_role("button", name="Join").click()
    expect(phone.get_by_role("alert")).to_contain_text("common")
    phone.get_by_label("Password", exact=True).fill("a long harbour 41 phrase")
    phone.keyboard.press("Enter")
    expect(phone).to_have_url(re.compile("/me/$"))
    expect(phone.get_by_text("Welcome to Demo workspace")).to_be_visible()
    assert open_context(None).new_page().goto(link).status == 410

    desk.goto("/settings/members/")
    desk.get_by_role("link", name="Clara Client").first.click()
    desk.get_by_role("link", name="Remove").click()
    desk.get_by_role("button", name="Remove Clara Client").click()
    expect(desk.get_by_role("link", name="Clara Client")).to_have_count(0)
    assert phone.goto("/me/").status == 404


def test_the_demos_invitation_can_be_tried(open_context, stack):
    email, path = stack.invitation()
    page: Page = open_context(None).new_page()
    page.goto(path)
    expect(page.get_by_text(email)).to_be_visible()
    page.get_by_label("Password", exact=True).fill("a long harbour 41 phrase")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.get_by_label("You and your workspaces").click()
    expect(page.get_by_text("Accountant of Demo workspace")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
def test_a_member_is_invited_changes_role_and_leaves(open_context, width):
    size = {"viewport": {"width": width, "height": 800}}
    owner: Page = open_context("manager", **size).new_page()
    owner.goto("/settings/members/invite/")
    email = f"walk-{width}@example.com"
    owner.get_by_label("E-mail address").fill(email)
    owner.get_by_label("Role").select_option("viewer")
    owner.keyboard.press("Enter")
    link = owner.get_by_label("Link to join as viewer").input_value()
    person: Page = open_context(None, **size).new_page()
    person.goto(link)
    person.get_by_label("Your name").fill(f"Wanda {width}")
    person.get_by_label("Password", exact=True).fill("a long harbour 41 phrase")
    person.get_by_role("button", name="Join").click()
    expect(person.get_by_role("heading", level=1)).to_have_text("Overview")

    owner.goto("/settings/members/")
    owner.get_by_role("link", name=f"Wanda {width}").first.click()
    owner.get_by_label("Role").select_option("accountant")
    owner.get_by_role("button", name="Change the role").click()
    owner.get_by_role("dialog").get_by_role("button", name="Change the role").click()
    expect(owner.get_by_text(f"Wanda {width} is accountant now.")).to_be_visible()
    assert owner.evaluate(WIDER) <= 0
    owner.get_by_role("button", name="Deactivate").click()
    owner.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    expect(owner.get_by_text("is shut out, on every device")).to_be_visible()
    assert person.goto("/strategies/").status == 404
    owner.get_by_role("button", name="Activate").click()
    expect(owner.get_by_text("can sign in to Demo workspace again")).to_be_visible()

    set_up_a_second_factor(person)
    person.goto("/leave/")
    person.get_by_role("button", name="Leave Demo workspace").click()
    assert person.goto("/strategies/").status == 404


def set_up_a_second_factor(page: Page) -> None:
    """Set it up, look at every page of it, sign in with it, and remove it."""
    page.goto("/accounts/second-factor/")
    page.get_by_role("link", name="Set it up").click()
    key = page.get_by_label("Key, if you cannot scan it").input_value()
    page.emulate_media(color_scheme="dark")
    assert page.locator(".qr").evaluate("image => getComputedStyle(image).backgroundColor") == "rgb(255, 255, 255)"
    look_at(page)
    page.emulate_media(color_scheme="light")
    page.get_by_label("Code", exact=True).fill(code_of(key))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    look_at(page)
    recovery = page.locator("p.code").inner_text().split()
    page.get_by_role("link", name="Make new ones").click()
    expect(page.get_by_text("The 10 that you have left stop working.")).to_be_visible()
    look_at(page)
    page.goto("/accounts/email/")
    email = page.locator(".card-body strong").first.inner_text()
    page.get_by_label("You and your workspaces").click()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, email, "a long harbour 41 phrase")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your code")
    look_at(page)
    page.get_by_label("Code", exact=True).fill(recovery[0])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto("/accounts/second-factor/remove/")
    look_at(page)
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("link", name="Set it up")).to_be_visible()


def look_at(page: Page) -> None:
    """It fits, and everything has a name and can be read."""
    assert (page.evaluate(UNNAMED), page.evaluate(WIDER) <= 0, barriers(page)) == ([], True, [])


def code_of(key: str) -> str:
    """What an authenticator app shows now."""
    return format_hotp_value(hotp_value(key, int(time.time()) // 30))
