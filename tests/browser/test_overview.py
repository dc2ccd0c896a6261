"""The overview: figures, its chart, and what happens while one looks at it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from copying.contract.accounts import AccountUpdate
from tests.browser.conftest import settle

IS_DRAWN = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"""


def test_it_shows_figures_the_demo_badge_and_a_drawn_chart(manager):
    manager.goto("/")
    settle(manager)
    expect(manager.get_by_text("Demo · simulated market").first).to_be_visible()
    for label in ("Equity under management", "Result this month", "Accrued commission", "Accounts"):
        figure = manager.locator(".figure").filter(has_text=label).first
        expect(figure.locator(".figure-value")).to_have_text(re.compile(r"\d"))
    canvases = manager.locator("#equity-card canvas")
    assert canvases.count()
    assert all(canvas.evaluate(IS_DRAWN) for canvas in canvases.all())


def test_the_period_of_the_chart_is_in_the_address(manager):
    manager.goto("/")
    periods = manager.get_by_role("navigation", name="Period of the chart")
    chosen = periods.locator("[aria-current]").inner_text()
    other = periods.locator("a:not([aria-current])").first
    name = other.inner_text()
    other.click()
    expect(manager).to_have_url(re.compile(rf"range={name}"))
    expect(periods.locator("[aria-current]")).to_have_text(name)
    settle(manager)
    assert manager.locator("#equity-card canvas").first.evaluate(IS_DRAWN)
    manager.go_back()
    expect(periods.locator("[aria-current]")).to_have_text(chosen)


def test_the_chart_can_be_read_as_a_table(manager):
    manager.goto("/")
    settle(manager)
    manager.get_by_role("link", name="As table").click()
    expect(manager.locator(".chart-table tbody tr").nth(2)).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d"))


def test_a_new_deal_appears_without_a_reload(manager, stack):
    with stack.client() as client:
        client.put_account("P-4001", AccountUpdate(name="Provider P-4001", deposit=100_000))
        live = client.unused_strategy_id()
        client.put_strategy(live, {"name": "Live check", "description": "For one test.", "accountId": "P-4001"})
        client.put_account("T-4001", AccountUpdate(name="Account T-4001", deposit=50_000))
        document = {"name": "Account T-4001", "subscriptions": [{"strategyId": live}]}
        client.put_subscriber("T-4001", document)
    stack.sync()
    manager.clock.install()
    manager.goto("/")
    settle(manager)
    manager.evaluate("window.isSamePage = true")
    feed = manager.locator(".feed")
    expect(feed).not_to_contain_text("Account T-4001")
    expect(manager.locator("[data-live-text]")).to_have_text("Live")

    stack.signal("sig00401", live)
    stack.sync()
    manager.clock.fast_forward(11_000)
    expect(feed).to_contain_text("Account T-4001")
    expect(feed.locator("li").filter(has_text="Account T-4001").first).to_contain_text("EURUSD")
    assert manager.evaluate("window.isSamePage")
    assert manager.locator("#equity-card canvas").first.evaluate(IS_DRAWN)


def test_a_lost_connection_is_said_and_found_again(manager, stack):
    stack.sync()  # pages are live only while the mirror is fresh, and nobody else syncs here
    manager.clock.install()
    manager.goto("/")
    settle(manager)
    manager.context.set_offline(True)
    expect(manager.locator("[data-live-text]")).to_have_text("Connection lost")
    expect(manager.get_by_text("No answer from the server")).to_be_visible()
    manager.context.set_offline(False)
    manager.clock.fast_forward(11_000)
    expect(manager.locator("[data-live-text]")).to_have_text("Live")
    expect(manager.get_by_text("No answer from the server")).to_be_hidden()


FONTS = """() => {
  const fonts = window.chartFonts = [], plain = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (...all) {
    fonts.push(this.font);
    return plain.apply(this, all);
  };
}"""


def test_chart_labels_are_as_large_on_dense_screens(open_context):
    for scale in (1, 2, 3):
        context = open_context("manager", device_scale_factor=scale)
        context.add_init_script(f"({FONTS})()")
        page = context.new_page()
        page.goto("/")
        settle(page)
        page.wait_for_function("window.chartFonts.length > 2")
        sizes = {float(re.search(r"([\d.]+)px", font)[1]) / scale for font in page.evaluate("window.chartFonts")}
        assert sizes == {12}
