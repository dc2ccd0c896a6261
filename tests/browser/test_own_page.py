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
