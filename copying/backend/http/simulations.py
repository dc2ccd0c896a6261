"""What a change would have done (E8, beyond the contract): decided over recorded signals, in a thread, bounded."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.configuration import computable
from copying.backend.http.options import service
from copying.backend.http.pages import Database
from copying.backend.http.parameters import ID, body_bytes, parse_moment
from copying.backend.http.replies import reply
from copying.backend.settings.documents import members_of, subscriptions_of
from copying.backend.settings.nesting import check_circle, check_size
from copying.backend.settings.offers import may_follow
from copying.backend.settings.rules import may_put
from copying.backend.signals.recording import RecordedFacts
from copying.backend.simulation import (
    MOST_SIGNALS,
    Comparison,
    Event,
    SignalAnswer,
    TooManyDecisions,
    leaves_of,
    scene_of,
    simulate,
)
from copying.backend.state.book import Book
from copying.backend.state.errors import Refused, invalid, not_found
from copying.backend.state.times import iso
from copying.contract import wire
from copying.contract.validation import Invalid, load_json, validate
from copying.engine.offers import Owners
from copying.engine.routes import Configuration, RouteKey

MOST_EVENTS = 50_000
MOST_CHANGES = 1_000
KINDS = {"strategies": "strategy", "portfolios": "portfolio", "subscribers": "subscriber"}
KEPT = ("_id", "removed", "closeOnRemovalMode", "platformCommissionRate")
CURSOR = re.compile(r"([0-9]{1,18})")
_one_at_a_time = asyncio.Semaphore(1)
_decode_event = msgspec.json.Decoder(Event).decode
_decode_facts = msgspec.msgpack.Decoder(RecordedFacts).decode


async def simulate_changes(request: Request) -> Response:
    """E8."""
    tenant, here = request.scope["tenant"], service(request)
    asked = load_json(await body_bytes(request))
    if not isinstance(asked, dict):
        raise invalid("", None, "The body must be an object")
    start, end = _period(asked)
    limit, after = _page_of(asked)
    wanted, differences_only = _wanted(asked), _differences_only(asked)
    await here.core.caught_up()
    scene = scene_of(here.core.book, tenant)
    changed = changed_configuration(here.core.book, tenant, scene.configuration, asked.get("changes"))
    leaves = sorted(leaves_of(scene.configuration) | leaves_of(changed))
    async with _one_at_a_time:
        events = await _events(here.database, leaves, start, end)
        try:
            result = await asyncio.to_thread(simulate, scene, changed, events, wanted)
        except TooManyDecisions as error:
            raise Refused(400, "ValidationError", str(error)) from error
    result.answers = [answer for answer in result.answers if _is_about(answer, asked)]
    answers = result.answers
    if differences_only:
        answers = [answer for answer in answers if answer.differs]
    return reply(_answer(result, answers, start, end, limit, after))


def _answer(
    result: Comparison, answers: list[SignalAnswer], start: datetime, end: datetime, limit: int, after: int
) -> dict[str, Any]:
    behind = [answer for answer in answers if answer.event.row > after]
    page = behind[:limit]
    return {
        "startTime": iso(start.timestamp()),
        "endTime": iso(end.timestamp()),
        **result.summary(),
        "signals": {
            "items": [answer.served() for answer in page],
            "next": str(page[-1].event.row) if len(behind) > limit else None,
        },
    }


def _period(asked: dict[str, Any]) -> tuple[datetime, datetime]:
    """The half-open period of signals; both ends are needed."""
    moments = []
    for name in ("startTime", "endTime"):
        value = asked.get(name)
        if not isinstance(value, str):
            raise invalid(name, None, "is required")
        moments.append(parse_moment(name, value))
    if not moments[0] < moments[1]:
        raise invalid("endTime", asked["endTime"][:200], "must be after startTime")
    return moments[0], moments[1]


def _page_of(asked: dict[str, Any]) -> tuple[int, int]:
    limit, after = asked.get("limit"), asked.get("after")
    if limit is None:
        limit = 100
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
        raise invalid("limit", None, "must be a whole number between 1 and 1000")
    if after is None:
        return limit, 0
    if not isinstance(after, str) or not CURSOR.fullmatch(after):
        raise invalid("after", None, "must be the `next` of an earlier page")
    return limit, int(after)


def _wanted(asked: dict[str, Any]) -> Any:
    """Which routes are asked for: one subscriber's, one strategy's (as subscribed to, or as the signal's source)."""
    for name in ("subscriberId", "strategyId"):
        if not isinstance(asked.get(name), str | None):
            raise invalid(name, None, "must be an id")
    subscriber_id, strategy_id = (asked.get(name) or "" for name in ("subscriberId", "strategyId"))

    def wanted(leaf: str, key: RouteKey) -> bool:
        return subscriber_id in ("", key.subscriber_id) and strategy_id in ("", key.strategy_id, leaf)

    return wanted


def _is_about(answer: SignalAnswer, asked: dict[str, Any]) -> bool:
    """Whether a signal is one of those asked for: of the strategy named itself, or with a route that was asked for."""
    strategy_id = asked.get("strategyId") or ""
    if strategy_id == "" and not asked.get("subscriberId"):
        return True
    is_own = answer.event.strategy_id == strategy_id and not asked.get("subscriberId")
    return is_own or any(sum(tally.counts) for tally in answer.tallies)


def _differences_only(asked: dict[str, Any]) -> bool:
    value = asked.get("differencesOnly")
    if not isinstance(value, bool | None):
        raise invalid("differencesOnly", None, "must be true or false")
    return value is True


def changed_configuration(book: Book, tenant: str, now: Configuration, changes: Any) -> Configuration:
    """The configuration with the changes laid in; null takes an object away."""
    if not isinstance(changes, dict):
        raise invalid("changes", None, "must be an object of strategies, portfolios and subscribers")
    changed = {name: dict(getattr(now, name)) for name in KINDS}
    count = 0
    for name, kind in KINDS.items():
        documents = {} if changes.get(name) is None else changes[name]
        if not isinstance(documents, dict):
            raise invalid(f"changes.{name}", None, "must be an object of documents by id")
        count += len(documents)
        if count > MOST_CHANGES:
            raise invalid("changes", count, f"at most {MOST_CHANGES} documents can be changed")
        for key, raw in documents.items():
            _lay_in(book, tenant, changed, name, kind, key, raw)
    tree = {
        key: [link["strategyId"] for link in portfolio.get("members") or ()]
        for key, portfolio in changed["portfolios"].items()
    }
    for check in (check_circle, check_size):
        for portfolio_id in changes.get("portfolios") or {}:
            if portfolio_id in tree:
                check(tree, portfolio_id, f"changes.portfolios.{portfolio_id}.members")
    for name, part in (("portfolios", "members"), ("subscribers", "subscriptions")):
        for key in changes.get(name) or {}:
            named = [link["strategyId"] for link in (changed[name].get(key) or {}).get(part) or ()]
            present = {link["strategyId"] for link in (getattr(now, name).get(key) or {}).get(part) or ()}
            allowed = {
                strategy for strategy in named if strategy in present or may_name(book, changed, tenant, strategy)
            }
            _check_named(changed, named, allowed, f"changes.{name}.{key}.{part}")
    return Configuration(
        changed["strategies"], changed["portfolios"], changed["subscribers"], owners(now, changed, tenant)
    )


def owners(now: Configuration, changed: dict[str, dict], tenant: str) -> Owners | None:
    """Whose the changed configuration is: what is new is the caller's."""
    if now.owners is None:
        return None
    new = dict.fromkeys((*changed["strategies"], *changed["portfolios"]), tenant)
    return Owners({**new, **now.owners.strategies}, dict.fromkeys(changed["subscribers"], tenant))


def may_name(book: Book, changed: dict[str, dict], tenant: str, strategy_id: str) -> bool:
    """Whether an object of the caller may copy this: offered to it, or its own, also one that the changes add."""
    is_there = strategy_id in changed["strategies"] or strategy_id in changed["portfolios"]
    return is_there and (strategy_id not in book.strategies_by_id or may_follow(book, tenant, strategy_id))


def _check_named(changed: dict[str, dict], named: list[str], allowed: set[str], path: str) -> None:
    """Strategies that an object copies exist, and are subscribed to once (the same member twice is two ways)."""
    for number, strategy_id in enumerate(named):
        is_there = strategy_id in changed["strategies"] or strategy_id in changed["portfolios"]
        if not is_there or strategy_id not in allowed:
            raise invalid(f"{path}.{number}.strategyId", strategy_id, "there is no such strategy")
        if path.endswith(".subscriptions") and strategy_id in named[:number]:
            raise invalid(f"{path}.{number}.strategyId", strategy_id, "is subscribed to twice")


def _lay_in(book: Book, tenant: str, changed: dict[str, dict], name: str, kind: str, key: str, raw: Any) -> None:
    path = f"changes.{name}.{key[:64]}"
    if not ID.fullmatch(key):
        raise invalid(path, None, "is not an id")
    strategy = None if name == "subscribers" else book.strategies_by_id.get(key)
    subscriber = book.subscribers_by_id.get(key) if name == "subscribers" else None
    known = strategy or subscriber
    if name == "subscribers":
        if subscriber is not None and subscriber.tenant != tenant:
            raise not_found("Subscriber")
    elif not may_put(book, tenant, key):
        raise not_found("Strategy")
    if strategy is not None and strategy.is_portfolio != (name == "portfolios"):
        raise invalid(path, None, "is the id of something else")
    if raw is None:
        changed[name].pop(key, None)
        return
    try:
        old = known.document if known is not None else None  # of the tenant: checked above
        document = computable(wire.to_wire(validate(kind, raw, stored=old)), f"{path}.")
    except Invalid as error:
        details = [{**problem, "parameter": f"{path}.{problem['parameter']}".rstrip(".")} for problem in error.details]
        raise Invalid(details) from error
    if name == "portfolios":
        document["members"] = members_of(strategy, document)
    if name == "subscribers":
        document["subscriptions"] = subscriptions_of(subscriber, document)
    owned = {field: known.document[field] for field in KEPT if known is not None and field in known.document}
    changed[name][key] = {**owned, **document}


async def _events(database: Database, leaves: list[str], start: datetime, end: datetime) -> list[Event]:
    """Opens of the period, and what happened to them until now, in the order in which they happened.

    Many share one time: a look at the market closes and opens, and accelerated time goes by hours.
    """
    if not leaves:
        return []
    parameters = {"leaves": leaves, "start": start, "end": end, "most": MOST_SIGNALS + 1, "all": MOST_EVENTS + 1}
    opens = await database.rows(
        "SELECT document, facts, id FROM copying_signalrecord WHERE strategy_id = ANY(%(leaves)s) AND what = 'open'"
        " AND time >= %(start)s AND time < %(end)s ORDER BY time, id LIMIT %(most)s",
        parameters,
    )
    if len(opens) > MOST_SIGNALS:
        raise invalid("startTime", iso(start.timestamp()), f"more than {MOST_SIGNALS} signals: choose a shorter period")
    events = []
    for document, facts, number in opens:
        event = _decode_event(document)
        event.facts = _decode_facts(bytes(facts)) if facts is not None else None
        events.append((event.time, number, event))
    later = await database.rows(
        "SELECT document, id FROM copying_signalrecord WHERE strategy_id = ANY(%(leaves)s)"
        " AND what IN ('fill', 'part', 'close') AND time >= %(start)s AND signal_row = ANY(%(rows)s)"
        " ORDER BY time, id LIMIT %(all)s",
        {**parameters, "rows": [event.row for *_, event in events]},
    )
    if len(later) > MOST_EVENTS:
        raise invalid("startTime", iso(start.timestamp()), "too many events: choose a shorter period")
    for document, number in later:
        event = _decode_event(document)
        events.append((event.time, number, event))
    return [event for *_, event in sorted(events, key=lambda row: row[:2])]
