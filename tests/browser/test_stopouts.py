"""A stopped account is resumed: confirmed by name, at the backend, and seen at once."""

from __future__ import annotations

from playwright.sync_api import expect


def test_an_account_is_resumed_after_confirming_it(manager, stack):
    manager.goto("/stopouts/?q=T-3001&state=active")
    button = manager.get_by_role("button", name="Resume")
    expect(button).to_have_count(1)
    button.click()
    dialog = manager.get_by_role("dialog")
    expect(dialog).to_contain_text("Resume Account T-3001")
    manager.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    button.click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    expect(button).to_be_visible()
    with stack.client() as client:
        assert [one.reason for one in client.stopouts("T-3001")] == ["lifetime-balance-minus-equity"]

    button.click()
    dialog.get_by_role("button", name="Resume").click()
    expect(manager.get_by_text("Account T-3001 copies again.")).to_be_visible()
    expect(manager.get_by_role("button", name="Resume")).to_have_count(0)
    with stack.client() as client:
        assert client.stopouts("T-3001") == []
    manager.goto("/stopouts/?q=T-3001")
    expect(manager.locator("#stopouts tbody tr")).to_contain_text("Resumed")
    manager.goto("/subscribers/?q=T-3001")
    expect(manager.locator("#subscribers tbody tr")).to_contain_text("Copying")


def test_what_another_person_resumed_goes_without_a_reload(manager, stack, open_context):
    manager.clock.install()
    manager.goto("/stopouts/?q=T-3002&state=active")
    expect(manager.get_by_role("button", name="Resume")).to_have_count(1)
    other = open_context("manager", java_script_enabled=False).new_page()
    other.goto("/stopouts/?q=T-3002&state=active")
    other.get_by_role("button", name="Resume").click()
    expect(other.get_by_text("Account T-3002 copies again.")).to_be_visible()
    with stack.client() as client:
        assert client.stopouts("T-3002") == []
    manager.clock.fast_forward(6_000)
    expect(manager.get_by_role("button", name="Resume")).to_have_count(0)


def test_the_page_of_a_stopped_account_says_why_and_how_far_its_limits_are_used_up(manager, stack):
    account = stack.one("SELECT id FROM subscribers_subscriber WHERE backend_id = 'T-3003'")
    manager.goto(f"/subscribers/{account}/")
    cause = "The loss with open positions since the start reached its limit"
    expect(manager.locator(".notice").filter(has_text=cause)).to_be_visible()
    limits = manager.locator("#limits")
    expect(limits.get_by_text("Loss with open positions since the start")).to_be_visible()
    expect(limits.get_by_text("Fired")).to_be_visible()
    manager.get_by_role("button", name="Resume").click()
    manager.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(manager.get_by_role("button", name="Resume")).to_be_visible()
    manager.goto("/subscribers/?sort=headroom")
    expect(manager.locator("#subscribers tbody td.headroom").first).to_contain_text("0.00 left")
