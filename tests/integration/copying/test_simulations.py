"""What a change would have done (E8) and the economic calendar (E9), over raw HTTP."""

import time

import pytest

from tests.integration.copying.conftest import assert_error, iso

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]
PATH = "/users/current/simulations"
CALENDAR = "/users/current/news-calendar"


def period():
    return {"startTime": iso(time.time() - 3600), "endTime": iso(time.time() + 3600)}


async def traded(user, backend):
    """A strategy whose only signal was won, copied by one subscriber."""
    strategy_id = await user.provide()
    subscriber_id = await user.subscribe(strategy_id)
    await user.signal(strategy_id, volume=0.2)
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.11, 1.11008)}
    backend.core.look_at_market()
    path = f"/users/current/strategies/{strategy_id}/external-signals/abcd1234/remove"
    answer = await user.http.post(path, json={"time": iso(time.time())})
    assert answer.status_code == 204
    backend.market.prices = {**backend.market.prices, "EURUSD": (1.1, 1.10008)}
    backend.core.look_at_market()
    return strategy_id, subscriber_id


def doubled(*strategy_ids):
    terms = {"multiplier": 2, "tradeSizeScaling": {"mode": "none"}}
    return {"name": "a", "subscriptions": [{"strategyId": each, **terms} for each in strategy_ids]}


def sized_by(strategy_id, expression):
    scaling = {"mode": "expression", "expression": expression}
    return {"name": "a", "subscriptions": [{"strategyId": strategy_id, "tradeSizeScaling": scaling}]}


def portfolio(*strategy_ids):
    return {
        "name": "p",
        "description": "d",
        "members": [{"strategyId": each, "multiplier": 1} for each in strategy_ids],
    }


async def test_a_change_is_simulated_over_what_was_recorded(user, backend):
    strategy_id, subscriber_id = await traded(user, backend)
    body = {**period(), "changes": {"subscribers": {subscriber_id: doubled(strategy_id)}}}
    answer = await user.http.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["totals"]["signals"], told["totals"]["differs"], told["currency"]) == (1, 1, "USD")
    assert told["totals"]["changed"]["volume"] == pytest.approx(2 * told["totals"]["baseline"]["volume"])
    assert told["totals"]["difference"]["profit"] > 0
    [signal] = told["signals"]["items"]
    assert (signal["signalId"], signal["baseline"]["copied"], signal["changed"]["copied"]) == ("abcd1234", 1, 1)
    assert told["signals"]["next"] is None
    assert "engine" in told["method"]
    account = await user.get(f"/users/current/accounts/{subscriber_id}/account-information")
    assert told["totals"]["baseline"]["profit"] == pytest.approx(account["balance"] - 10_000, abs=3)


async def test_a_removed_subscription_trades_nothing(user, backend):
    _, subscriber_id = await traded(user, backend)
    body = {**period(), "changes": {"subscribers": {subscriber_id: None}}, "differencesOnly": True}
    told = (await user.http.post(PATH, json=body)).json()
    assert told["totals"]["changed"]["copied"] == 0
    assert len(told["signals"]["items"]) == 1


async def test_documents_put_back_as_they_were_read_change_nothing_while_parts_wind_down(user):
    """What is being removed goes on winding down, whatever the documents say, as it does on a PUT."""
    leaf, other = await user.provide(), await user.provide("other")
    held = user.id("p")
    path = f"/users/current/configuration/portfolio-strategies/{held}"
    await user.put(path, portfolio(leaf, other))
    subscriber_id = await user.subscribe(leaf, held)
    await user.signal(leaf, "before")
    mode = {"mode": "close-gracefully-by-position"}
    subscriber_path = f"/users/current/configuration/subscribers/{subscriber_id}"
    for removed in (f"{subscriber_path}/subscriptions/{leaf}", f"{path}/members/{leaf}"):
        answer = await user.http.request("DELETE", removed, json=mode)
        assert answer.status_code == 204, answer.text
    await user.signal(leaf, "after")
    changes = {
        "portfolios": {held: await user.get(path)},
        "subscribers": {subscriber_id: await user.get(subscriber_path)},
    }
    told = (await user.http.post(PATH, json={**period(), "changes": changes})).json()
    assert told["totals"]["differs"] == 0
    assert told["totals"]["baseline"] == told["totals"]["changed"]
    changes = {"subscribers": {subscriber_id: doubled(held)}}
    told = (await user.http.post(PATH, json={**period(), "changes": changes})).json()
    assert [each["changed"]["skipped"] for each in told["signals"]["items"]] == [2, 2]


async def test_filters_and_pages(user, backend):
    strategy_id, _ = await traded(user, backend)
    for number in range(3):
        await user.signal(strategy_id, f"more{number}")
    body = {**period(), "changes": {}, "limit": 3}
    first = (await user.http.post(PATH, json=body)).json()
    rest = (await user.http.post(PATH, json={**body, "after": first["signals"]["next"]})).json()
    names = [each["signalId"] for page in (first, rest) for each in page["signals"]["items"]]
    assert names == ["abcd1234", "more0", "more1", "more2"]
    none = (await user.http.post(PATH, json={**body, "subscriberId": "nobody"})).json()
    assert none["totals"]["baseline"]["copied"] == 0


async def test_only_signals_that_were_asked_for_are_counted(user):
    one, other, alone = await user.provide("one"), await user.provide("other"), await user.provide("alone")
    first, second = await user.subscribe(one), await user.subscribe(other, name="b")
    for number, strategy_id in enumerate((one, other, other, alone)):
        await user.signal(strategy_id, f"asked{number:03}")
    for asked, signals in (
        ({}, 3),  # nobody copies the last one: nothing of it was recorded
        ({"strategyId": one}, 1),
        ({"strategyId": other}, 2),
        ({"strategyId": alone}, 0),
        ({"strategyId": "none"}, 0),
        ({"subscriberId": first}, 1),
        ({"subscriberId": second}, 2),
        ({"subscriberId": second, "strategyId": other}, 2),
        ({"subscriberId": second, "strategyId": one}, 0),
        ({"subscriberId": "nobody"}, 0),
    ):
        told = (await user.http.post(PATH, json={**period(), "changes": {}, **asked})).json()
        assert (told["totals"]["signals"], len(told["signals"]["items"])) == (signals, signals), asked


async def test_what_cannot_be_simulated_is_refused(user, stranger, backend):
    strategy_id, subscriber_id = await traded(user, backend)
    good = {**period(), "changes": {}}
    handed = (await user.get("/users/current/configuration/unused-strategy-id"))["id"]
    for changed, parameter in (
        ({"startTime": None}, "startTime"),
        ({"endTime": "2000-01-01T00:00:00Z"}, "endTime"),
        ({"changes": []}, "changes"),
        ({"changes": {"subscribers": []}}, "changes.subscribers"),
        ({"limit": 0}, "limit"),
        ({"after": "x"}, "after"),
        (
            {"changes": {"subscribers": {subscriber_id: doubled("none")}}},
            f"changes.subscribers.{subscriber_id}.subscriptions.0.strategyId",
        ),
        ({"changes": {"strategies": {strategy_id: {"name": "s"}}}}, f"changes.strategies.{strategy_id}.description"),
        ({"subscriberId": []}, "subscriberId"),
        ({"strategyId": 0}, "strategyId"),
        ({"differencesOnly": "yes"}, "differencesOnly"),
        (
            {"changes": {"subscribers": {subscriber_id: sized_by(strategy_id, "1 +* 2")}}},
            f"changes.subscribers.{subscriber_id}.subscriptions.0.tradeSizeScaling.expression",
        ),
        (
            {"changes": {"subscribers": {subscriber_id: doubled(strategy_id, strategy_id)}}},
            f"changes.subscribers.{subscriber_id}.subscriptions.1.strategyId",
        ),
        (
            {"changes": {"portfolios": {handed: portfolio("none")}}},
            f"changes.portfolios.{handed}.members.0.strategyId",
        ),
    ):
        answer = await user.http.post(PATH, json={**good, **changed})
        assert answer.status_code == 400, (changed, answer.text)
        assert parameter in [each["parameter"] for each in answer.json()["details"]]
    foreign = {**good, "changes": {"subscribers": {subscriber_id: doubled(strategy_id)}}}
    assert_error(await stranger.http.post(PATH, json=foreign), 404)
    nothing = (await stranger.http.post(PATH, json=good)).json()
    assert nothing["totals"]["signals"] == 0


async def test_a_calendar_is_put_read_and_forgotten(user, stranger):
    event = {"time": "2030-01-04T13:30:00.000Z", "currency": "USD", "priority": "high", "title": "Payrolls"}
    await user.put(CALENDAR, {"events": [event]})
    assert await user.get(CALENDAR) == {"events": [{**event, "breaking": False}]}
    assert await stranger.get(CALENDAR) == {"events": []}
    text = "time,currency,priority\n2030-01-05T08:00:00Z,EUR,low\n"
    answer = await user.http.put(CALENDAR, content=text, headers={"content-type": "text/csv; charset=utf-8"})
    assert answer.status_code == 204
    assert [each["currency"] for each in (await user.get(CALENDAR))["events"]] == ["EUR"]
    assert await user.status("DELETE", CALENDAR) == 204
    assert await user.get(CALENDAR) == {"events": []}


async def test_a_calendar_that_cannot_be_read_is_refused(user):
    for body, parameter in (
        ({"events": {}}, "events"),
        ([1], "events.0"),
        ([{"time": "x", "currency": "USD", "priority": "high"}], "events.0.time"),
        ([{"time": "2030-01-04T13:30:00Z", "currency": 5, "priority": "high"}], "events.0.currency"),
        ([{"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": ["high"]}], "events.0.priority"),
    ):
        assert_error(await user.http.put(CALENDAR, json=body), 400, parameter)
    for content in (b"what,when\n1,2\n", b"\xff\xfe", b"time,currency,priority\n\x00,USD,high\n"):
        answer = await user.http.put(CALENDAR, content=content, headers={"content-type": "text/csv"})
        assert_error(answer, 400)


GOOD = "2030-01-04T13:30:00Z,USD,high,,Payrolls"


@pytest.mark.parametrize("kind", ["text/csv", "Text/CSV", "TEXT/CSV; Charset=UTF-8", "application/csv"])
@pytest.mark.parametrize(
    "text",
    [
        f"time,currency,priority,breaking,title\r{GOOD}\r",
        f"\ufeffTime;Currency;Priority;Breaking;Title\r\n{GOOD}\r\n".replace(",", ";"),
        f"sep=;\ntime;currency;priority;breaking;title\n{GOOD}".replace(",", ";"),
        "time,currency,priority,breaking,title\n2030-01-04T13:30:00Z,usd,High,No,Payrolls\n",
    ],
)
async def test_a_csv_in_any_dress_is_read(user, kind, text):
    answer = await user.http.put(CALENDAR, content=text.encode(), headers={"content-type": kind})
    assert answer.status_code == 204, answer.text
    event = {"time": "2030-01-04T13:30:00.000Z", "currency": "USD", "priority": "high"}
    assert (await user.get(CALENDAR))["events"] == [{**event, "breaking": False, "title": "Payrolls"}]


@pytest.mark.parametrize(
    ("row", "parameter", "words"),
    [
        ("2030-01-04T13:30:00Z,USD,urgent,,x", "events.1.priority", "line 3: must be one of election, high"),
        ("2030-01-04T13:30:00Z,USD,,,x", "events.1.priority", "line 3"),
        ("2030-01-04T13:30:00Z,DOLLAR,high,,x", "events.1.currency", "line 3: must be a currency"),
        ("2030-01-04T13:30:00Z,U$D,high,,x", "events.1.currency", "line 3"),
        ("2030-01-04T13:30:00Z,USD,high,perhaps,x", "events.1.breaking", "line 3: must be yes, no or empty"),
        ("1893764400000,USD,high,,x", "events.1.time", "line 3: must be a time such as"),
        ("1710-01-04T13:30:00Z,USD,high,,x", "events.1.time", "line 3: must be a time between"),
        (",USD,high,,x", "events.1.time", "line 3"),
        (f"2030-01-04T13:30:00Z,USD,high,,{'x' * 201}", "events.1.title", "line 3"),
        (f"2030-01-04T13:30:00Z,USD,high,,{'x' * 140_000}", "events", "line 3"),
        ("2030-01-04T13:30:00Z,USD,high,,Rates, and more", "events", "line 3: it has 6 cells"),
        ('2030-01-04T13:30:00Z,USD,high,,"Rates', "events", "line 3"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
async def test_a_csv_is_never_half_read(user, row, parameter, words, end):
    await user.put(CALENDAR, [{"time": "2030-01-01T00:00:00Z", "currency": "EUR", "priority": "low"}])
    before = await user.get(CALENDAR)
    text = end.join(["time,currency,priority,breaking,title", GOOD, row, GOOD, ""])
    answer = await user.http.put(CALENDAR, content=text.encode(), headers={"content-type": "text/csv"})
    assert words in assert_error(answer, 400, parameter)["message"]
    assert await user.get(CALENDAR) == before


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"breaking": "no"}, "events.0.breaking"),
        ({"breaking": 1}, "events.0.breaking"),
        ({"title": ["x"]}, "events.0.title"),
        ({"title": "two\nlines"}, "events.0.title"),
        ({"title": "nul\0"}, "events.0.title"),
        ({"currency": "US\n"}, "events.0.currency"),
        ({"time": 1893764400}, "events.0.time"),
        ({"time": True}, "events.0.time"),
        ({"time": None}, "events.0.time"),
    ],
)
async def test_values_that_are_no_known_word_are_refused_in_json_too(user, change, parameter):
    event = {"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": "high", **change}
    assert_error(await user.http.put(CALENDAR, json=[event]), 400, parameter)


async def test_news_refuse_a_signal_of_a_strategy_with_a_filter(user):
    filters = {"calendarNewsFilter": {"priorities": ["high"]}}
    strategy_id = await user.provide(newsFilter=filters)
    await user.subscribe(strategy_id)
    await user.put(CALENDAR, [{"time": iso(time.time() + 60), "currency": "EUR", "priority": "high"}])
    await user.signal(strategy_id)
    [decision] = (await user.get("/users/current/decisions", strategyId=strategy_id))["items"]
    assert (decision["outcome"], decision["reason"]) == ("skipped", "news")


async def test_a_feed_adds_events_and_may_leave_the_time_to_the_server(user, stranger):
    event = {"time": "2026-03-02T13:30:00.000Z", "currency": "USD", "priority": "high"}
    await user.put(CALENDAR, {"events": [event]})
    breaking = {"currency": "EUR", "priority": "medium", "breaking": True, "title": "Bank halts"}
    assert await user.status("POST", CALENDAR, json=[event, breaking]) == 204
    assert await user.status("POST", CALENDAR, json={"events": [{"currency": "EUR"}]}) == 400
    assert await user.status("POST", CALENDAR, content="time,currency\n", headers={"content-type": "text/csv"}) == 400
    first, last = (await user.get(CALENDAR))["events"]
    assert (first["time"], last["title"], last["breaking"]) == (event["time"], "Bank halts", True)
    assert last["time"] > first["time"]
    assert (await stranger.get(CALENDAR))["events"] == []
