"""Several accounts are chosen with mouse or keys, changed by one review, and put back as one."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_pages import UNNAMED, WIDER, barriers, complaints_of

NAMES = ("B-7001", "B-7002", "B-7003")


@pytest.fixture(scope="module")
def accounts(stack):
    """Three accounts that nothing else is tried on."""
    with stack.client() as client:
        for number, name in enumerate(NAMES, 1):
            terms = [{"strategyId": "Trd1", "multiplier": number}]
            client.put_subscriber(name, {"name": f"Bulk {name}", "subscriptions": terms})
    stack.sync()
    return NAMES


def ratios(stack) -> list[float]:
    with stack.client() as client:
        return [client.subscriber(name)["subscriptions"][0].get("multiplier", 1) for name in NAMES]


def choose_by_keys(page: Page) -> None:
    """The first two accounts of the list, without the mouse."""
    page.goto("/subscribers/?q=Bulk+B-70")
    expect(page.locator("input[name=ids]")).to_have_count(3)
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)


def test_two_of_three_are_changed_and_put_back(accounts, manager: Page, stack):
    complaints = complaints_of(manager)
    choose_by_keys(manager)
    bar = manager.locator("#choose")
    expect(bar.locator("[data-chosen]")).to_contain_text("2 selected")
    assert manager.evaluate(UNNAMED) == []
    assert barriers(manager) == []
    bar.get_by_role("button", name="Change the ticked").click()
    expect(manager.get_by_role("heading", level=1)).to_have_text("Change 2 accounts")
    assert manager.evaluate(UNNAMED) == []
    assert barriers(manager) == []
    assert manager.evaluate(WIDER) <= 0
    form = manager.locator("form", has=manager.locator("input[name=form][value=ratio]"))
    form.get_by_label("Change", exact=True).select_option(label="Multiply what it is by")
    form.get_by_label("Ratio", exact=True).fill("0.5")
    form.get_by_role("button").click()
    expect(manager.get_by_role("heading", level=1)).to_have_text("Review: Ratio 0.5 times what it is")
    expect(manager.locator("#bulk-rows tbody tr")).to_have_count(2)
    expect(manager.locator("#what-if .compare, #what-if p").first).to_be_visible(timeout=40_000)
    assert manager.evaluate(UNNAMED) == []
    assert barriers(manager) == []
    assert ratios(stack) == [1, 2, 3]
    manager.get_by_role("button", name="Save for 2 accounts").dblclick()
    run_jobs(stack)
    expect(manager.get_by_role("button", name="Undo all")).to_be_visible()
    expect(manager.locator("#bulk-rows tbody tr", has_text="Changed")).to_have_count(2)
    assert ratios(stack) == [0.5, 1, 3]
    manager.get_by_role("button", name="Undo all").click()
    expect(manager.get_by_role("heading", level=1)).to_have_text(re.compile("Review: Undo"))
    manager.get_by_role("button", name="Save for 2 accounts").click()
    run_jobs(stack)
    manager.reload()
    assert ratios(stack) == [1, 2, 3]
    assert [one for one in complaints if "ERR_ABORTED" not in one] == []


def test_a_phone_shows_every_step(accounts, manager: Page):
    manager.set_viewport_size({"width": 360, "height": 780})
    manager.goto("/subscribers/?q=Bulk+B-70")
    assert manager.evaluate(WIDER) <= 0
    manager.locator("label.pick").first.click()
    expect(manager.locator("[data-chosen]")).to_contain_text("1 selected")
    expect(manager.locator("[data-chosen]")).to_be_visible()
    manager.get_by_role("button", name="Change all 3 that match").click()
    expect(manager.get_by_role("heading", level=1)).to_have_text("Change 3 accounts")
    assert manager.evaluate(WIDER) <= 0
    form = manager.locator("form", has=manager.locator("input[name=form][value=close-only]"))
    form.get_by_label("From now on").select_option(label="Closes everything at once")
    form.get_by_role("button").click()
    expect(manager.get_by_text("Copied positions are closed at once.")).to_be_visible()
    expect(manager.get_by_label(re.compile("the number of accounts"))).to_be_visible()
    assert manager.evaluate(WIDER) <= 0
    assert manager.evaluate(UNNAMED) == []
    assert barriers(manager) == []


def run_jobs(stack) -> None:
    """What a worker does within seconds."""
    stack.manage("shell", "-c", "from jobs.run import run_due; run_due()")
