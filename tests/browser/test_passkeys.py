"""Passkeys in the browser with its virtual device, and the way in of somebody of whom a second factor is asked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_people import code_of, look_at

PHRASE = "a long harbour 41 phrase"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def named(stack):
    """The installation by a name: browsers make no passkeys for an address in numbers."""
    return stack.address.replace("127.0.0.1", "localhost")


def invited(open_context, email: str, role: str) -> str:
    """The link of an invitation."""
    owner: Page = open_context("manager").new_page()
    owner.goto("/settings/members/invite/")
    owner.get_by_label("E-mail address").fill(email)
    owner.get_by_label("Role").select_option(role)
    owner.keyboard.press("Enter")
    return owner.get_by_label(f"Link to join as {role}").input_value()


@pytest.mark.parametrize("width", [360, 1440])
def test_a_passkey_is_made_signs_in_confirms_and_goes(open_context, named, stack, width):
    email = f"keys-{width}@example.com"
    link = invited(open_context, email, "viewer")
    page: Page = open_context(None, base_url=named, viewport={"width": width, "height": 800}).new_page()
    problems: list[str] = []
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    key = device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})["authenticatorId"]
    page.goto(link.replace(stack.address, named))
    page.get_by_label("Your name").fill("Karla Keys")
    page.get_by_label("Password", exact=True).fill(PHRASE)
    page.get_by_role("button", name="Join").click()
    page.goto("/accounts/second-factor/")
    look_at(page)
    page.get_by_role("link", name="Add a passkey").click()
    look_at(page)
    page.get_by_label("Name").fill("Test phone")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_label("You and your workspaces").click()
    page.get_by_role("button", name="Sign out").click()

    page.goto("/accounts/login/")  # without a password
    look_at(page)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto("/accounts/confirm/?next=/accounts/sessions/")
    look_at(page)
    page.get_by_role("button", name="Use your passkey").click()
    expect(page).to_have_url(re.compile("/accounts/sessions/$"))
    page.get_by_label("You and your workspaces").click()
    page.get_by_role("button", name="Sign out").click()

    sign_in(page, email, PHRASE)  # as the second step
    look_at(page)
    device.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": True})
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.goto("/accounts/second-factor/")
    page.get_by_role("link", name="Remove Test phone").click()
    look_at(page)
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("The passkey is removed here")).to_be_visible()
    assert problems == []


def test_without_the_device_the_page_says_so(open_context, named):
    page: Page = open_context(None, base_url=named).new_page()
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("No passkey was used")).to_be_visible()


def test_invited_asked_for_a_second_factor_and_in(open_context):
    """The whole way in where the workspace asks it of the role."""
    owner: Page = open_context("manager").new_page()
    owner.goto("/settings/security/")
    owner.get_by_label("Accountant").check()
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_text("It holds from the next page")).to_be_visible()
    page: Page = open_context(None).new_page()
    page.goto(invited(open_context, "asked@example.com", "accountant"))
    page.get_by_label("Your name").fill("Asa Asked")
    page.get_by_label("Password", exact=True).fill(PHRASE)
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_text("asks for a second factor").first).to_be_visible()
    look_at(page)
    page.goto("/commissions/")
    expect(page).to_have_url(re.compile("/accounts/second-factor/$"))
    page.get_by_role("link", name="Set it up").click()
    key = page.get_by_label("Key, if you cannot scan it").input_value()
    page.get_by_label("Code", exact=True).fill(code_of(key))
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="Go on to the first page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    owner.goto("/settings/security/")
    owner.get_by_label("Accountant").uncheck()
    owner.get_by_role("button", name="Save").click()
    expect(owner.get_by_text("It holds from the next page")).to_be_visible()
