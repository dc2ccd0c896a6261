"""Nonsense against every address of the contract: always a proper answer, never a 500, never half a write."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copying.backend.http.application import TABLE
from tests.integration.copying.conftest import PORTFOLIOS, STRATEGIES, SUBSCRIBERS, assert_error

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]

QUERY_NAMES = (
    "from",
    "till",
    "startTime",
    "endTime",
    "limit",
    "offset",
    "strategyId",
    "strategyId[]",
    "subscriberId",
    "positionId",
    "level",
    "includeRemoved",
    "previousSequenceNumber",
    "paginationStyle",
    "before",
    "after",
    "outcome",
    "reason",
    "signalId",
    "holdInSeconds",
)
FIELDS = (
    "name",
    "description",
    "accountId",
    "members",
    "subscriptions",
    "strategyId",
    "multiplier",
    "riskLimits",
    "type",
    "applyTo",
    "closePositions",
    "maxAbsoluteRisk",
    "symbolFilter",
    "included",
    "symbolMapping",
    "from",
    "to",
    "mode",
    "tradeSizeScaling",
    "expression",
    "removeAfter",
    "symbol",
    "time",
    "volume",
    "openPrice",
    "stopLoss",
    "magic",
    "actionType",
    "positionId",
    "amount",
    "currency",
    "leverage",
    "deposit",
    "signalDelay",
    "minInSeconds",
    "closeOnly",
)
WORDS = (
    "",
    "EURUSD",
    "POSITION_TYPE_BUY",
    "ORDER_TYPE_BUY_LIMIT",
    "ORDER_TYPE_BUY",
    "POSITION_CLOSE_ID",
    "2026-01-01",
    "2026-01-01T00:00:00.000Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "expression",
    "1+",
    "day",
    "balance-difference",
    "close-immediately",
    "preserve",
    "USD",
    "local",
    "a.b",
    "../x",
    "\u0000",
    "\ud800",
    "🦀",
    "[]",
)
texts = st.sampled_from(WORDS) | st.text(max_size=20)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1e-320, 1e308, 2**63, 10**40])
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)
ids = st.sampled_from(["fuzz", "known", "unknown", "%00", "%F0%9F%A6%80", "a%2Fb", ".", "..", "x" * 200])
bodies = st.dictionaries(st.sampled_from(FIELDS), values, max_size=12).map(lambda each: json.dumps(each).encode())
bodies |= values.map(lambda each: json.dumps(each).encode()) | st.binary(max_size=40)
queries = st.lists(st.tuples(st.sampled_from(QUERY_NAMES), texts | numbers.map(str)), max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("method", "path"), [row[:2] for row in TABLE])
@given(chosen=st.lists(ids, min_size=4, max_size=4), query=queries, body=bodies)
async def test_every_address_answers_nonsense_properly(user, method, path, chosen, query, body):
    for name, value in zip(("strategy", "subscriber", "account", "signal"), chosen, strict=True):
        path = path.replace(f"{{{name}_id}}", value)
    for name in ("{member_id}", "{webhook_id}", "{reason}"):
        path = path.replace(name, chosen[-1])
    query = [(name, value.encode(errors="replace").decode()) for name, value in query]
    if path.endswith("/stream"):
        query.append(("holdInSeconds", "0"))
    answer = await user.http.request(method, path, params=query, content=b"" if method == "GET" else body)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert_error(answer, answer.status_code)
    elif answer.status_code != 204:
        answer.json()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=st.dictionaries(st.sampled_from(FIELDS), values, max_size=4), collection=st.integers(0, 2))
async def test_a_document_is_taken_over_wholly_or_not_at_all(user, change, collection):
    path = f"{(STRATEGIES, PORTFOLIOS, SUBSCRIBERS)[collection]}/{user.id(f'whole{collection}')}"
    document = {"name": "n", "description": "d", "accountId": user.id("p"), "members": [], "subscriptions": []}
    await user.put(path, document)
    before = await user.get(path)
    answer = await user.http.put(path, content=json.dumps({**document, **change}).encode())
    after = await user.get(path)
    if answer.status_code == 204:
        assert after["name"] == change.get("name", "n")
    else:
        assert_error(answer, answer.status_code)
        assert answer.status_code in (400, 404)
        assert after == before


async def test_nonsense_in_parallel_leaves_the_backend_working(user):
    bombs = [b"[" * 100_000, b'{"a":' * 10_000, b"\xff" * 1000, b'{"volume": 1e400}', b"NaN"]
    strategy_id = await user.provide()
    path = f"/users/current/strategies/{strategy_id}/external-signals/abcd1234"
    answers = await asyncio.gather(*(user.http.put(path, content=bomb) for bomb in bombs * 10))
    assert {answer.status_code for answer in answers} == {400}
    await user.signal(strategy_id)
