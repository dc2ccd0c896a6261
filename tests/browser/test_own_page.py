"""A subscriber sees their own account, and nothing tells them that there is more."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import settle

OF_STAFF = ("/strategies/", "/subscribers/", "/stopouts/", "/commissions/", "/log/", "/sync/", "/settings/")


def test_a_subscriber_signs_in_to_the_own_account(subscriber, stack):
    own = stack.one(
        "SELECT s.name FROM subscribers_subscriberaccess a JOIN subscribers_subscriber s ON s.id = subscriber_id"
    )
    subscriber.goto("/")
    expect(subscriber).to_have_url(f"{stack.address}/me/")
    expect(subscriber.get_by_role("heading", level=1)).to_have_text(own)
    settle(subscriber)
    expect(subscriber.locator("[data-chart] canvas").first).to_be_visible()
    expect(subscriber.get_by_text("Demo · simulated market").first).to_be_visible()
    subscriber.get_by_role("link", name="Latest transactions").click()
    expect(subscriber).to_have_url(re.compile(r"/transactions/\?subscriber="))
    subscriber.goto("/transactions/")
    names = subscriber.locator("#transactions tbody td:nth-child(2)").all_inner_texts()
    assert set(names) == {own}


def test_everything_else_is_not_there(subscriber, stack):
    other, strategy = stack.rows("SELECT s.id, t.id FROM subscribers_subscriber s, strategies_strategy t LIMIT 1")[0]
    for path in (
        *OF_STAFF,
        f"/subscribers/{other}/",
        f"/strategies/{strategy}/",
        f"/strategies/{strategy}/equity.json",
    ):
        assert subscriber.goto(path).status == 404, path
    subscriber.goto("/transactions/?subscriber=A-2003")
    expect(subscriber.locator("#transactions tbody tr")).to_have_count(0)
    for hidden in OF_STAFF:
        expect(subscriber.locator(f"a[href='{hidden}']")).to_have_count(0)


def test_an_account_of_somebody_else_is_not_drawn(subscriber, stack):
    query = (
        "SELECT id FROM subscribers_subscriber WHERE id NOT IN (SELECT subscriber_id FROM subscribers_subscriberaccess)"
    )
    other = stack.one(query)
    assert subscriber.goto(f"/subscribers/{other}/equity.json").status == 404
    assert subscriber.goto(f"/me/?account={other}").status == 404


def test_the_page_follows_what_happens_and_leaves_the_chart_alone(subscriber, stack):
    subscriber.clock.install()
    subscriber.goto("/me/")
    settle(subscriber)
    equity = subscriber.locator("[data-flash=equity]")
    expect(equity).to_have_text(re.compile(r"\d"))
    chart = subscriber.locator("[data-chart] canvas").first
    chart.evaluate("canvas => { canvas.dataset.mark = 'same'; }")
    subscriber.locator("#me figure").first.evaluate("figure => { figure.dataset.mark = 'same'; }")
    subscriber.evaluate("() => { document.querySelector('[data-flash=equity]').textContent = 'old'; }")
    subscriber.clock.fast_forward(16_000)
    expect(equity).to_have_text(re.compile(r"\d"))
    expect(chart).to_have_attribute("data-mark", "same")


def test_a_deposit_is_marked_in_the_curve_and_told_in_its_table(subscriber):
    times = [1_767_225_600 + 86_400 * day for day in range(4)]
    curve = [times, [1000, 1500, 1490, 1400], [0, 0, 0.01, 0.01], [0, 500, 0, -90]]
    subscriber.route("**/equity.json*", lambda route: route.fulfill(json=curve))
    subscriber.goto("/me/")
    settle(subscriber)
    figure = subscriber.locator("[data-chart]")
    expect(figure.locator(".chart-key")).to_have_text(re.compile(r"▲ paid in\s+▼ paid out|▲ paid in▼ paid out"))
    expect(figure.locator("[data-legend]")).to_contain_text("Paid out 90.00")
    figure.get_by_role("link", name="As table").click()
    rows = figure.locator("tbody tr")
    expect(figure.locator("thead")).to_contain_text("Paid in or out")
    expect(rows.nth(1)).to_contain_text("500.00")
    expect(rows.nth(2).locator("td").last).to_have_text("")
    expect(rows.nth(3)).to_contain_text("\u221290.00")
    subscriber.unroute("**/equity.json*")
