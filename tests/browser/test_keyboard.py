"""Everything can be done from the keyboard, and one sees where one is."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

# Chromium draws its own ring around the parts of a date
FOCUS = """() => { const style = getComputedStyle(document.activeElement);
  return { text: document.activeElement.textContent.trim(), name: document.activeElement.localName,
    isSeen: document.activeElement.type === "date"
      || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none" }; }"""


def tab_to(page: Page, text: str, *, most: int = 60) -> None:
    """Press Tab until an element with that text has the focus; every stop on the way must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["isSeen"], page.evaluate("document.activeElement.outerHTML")
        if focus["text"] == text:
            return
    raise AssertionError(f"Tab does not reach {text}")


def test_the_slash_searches_from_anywhere(manager):
    manager.goto("/transactions/")
    manager.keyboard.press("/")
    expect(manager.locator("[data-search]")).to_be_focused()
    manager.keyboard.type("trend")
    manager.keyboard.press("Enter")
    expect(manager).to_have_url(re.compile(r"/search/\?q=trend"))
    manager.get_by_role("link", name="Trend majors").press("Enter")
    expect(manager.get_by_role("heading", level=1)).to_have_text("Trend majors")


def test_the_first_stop_skips_to_the_content(manager):
    manager.goto("/strategies/")
    manager.keyboard.press("Tab")
    link = manager.get_by_role("link", name="Skip to content")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    manager.keyboard.press("Enter")
    expect(manager.locator("#content")).to_be_focused()


def test_two_letters_go_to_a_page_and_j_and_k_walk_its_rows(manager):
    manager.goto("/")
    manager.keyboard.press("g")
    manager.keyboard.press("u")
    expect(manager).to_have_url(re.compile(r"/subscribers/$"))
    expect(manager.get_by_role("heading", level=1)).to_have_text("Subscribers")
    manager.keyboard.press("j")
    manager.keyboard.press("j")
    expect(manager.locator("#subscribers tbody tr").nth(1).locator("a.name")).to_be_focused()
    manager.keyboard.press("k")
    expect(manager.locator("#subscribers tbody tr").first.locator("a.name")).to_be_focused()


def test_tab_reaches_the_main_action_and_escape_leaves_its_dialog(manager):
    manager.goto("/stopouts/?q=T-3003&state=active")
    tab_to(manager, "Resume")
    manager.keyboard.press("Enter")
    dialog = manager.get_by_role("dialog")
    expect(dialog).to_be_visible()
    manager.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert manager.evaluate(FOCUS)["text"] == "Resume"


def test_escape_closes_the_menu_and_gives_the_focus_back(manager):
    manager.goto("/")
    menu = manager.get_by_label("You and your workspaces")
    menu.press("Enter")
    expect(manager.get_by_role("button", name="Sign out")).to_be_visible()
    manager.keyboard.press("Escape")
    expect(manager.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()
