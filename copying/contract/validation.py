"""Everything that is wrong with a document, each thing with the path of its parameter.

A decoder stops at the first wrong type; a person filling in a form, and a client reading a 400, want them all. So the
documents are walked along the types of their structs, and the rules of rules.py are asked at every object. Unknown
fields, and those that only the backend sets, are dropped (contract, 8: rows 2, 43, 45).

Invalid is the only exception, and it is never transient: sending the same document again fails again.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from . import accounts, documents, provisioning, provisioning_rules, terminal, wire
from .rules import ALIASES, Rule
from .rules import RULES as COPYING_RULES

MAX_BODY_BYTES = 1_000_000
_HOUR, _DAY = 3_600.0, 86_400.0
KINDS: dict[str, type[msgspec.Struct]] = {
    "strategy": documents.StrategyUpdate,
    "portfolio": documents.PortfolioUpdate,
    "subscriber": documents.SubscriberUpdate,
    "subscription": documents.SubscriptionUpdate,
    "close-instructions": documents.CloseInstructions,
    "webhook": documents.WebhookUpdate,
    "webhook-signal": documents.WebhookSignal,
    "external-signal": documents.ExternalSignalUpdate,
    "signal-removal": documents.SignalRemoval,
    "account": accounts.AccountUpdate,
    "deposit": accounts.DepositRequest,
    "trade": accounts.TradeRequest,
    "new-trading-account": provisioning.NewTradingAccount,
    "trading-account": provisioning.TradingAccountUpdate,
    "copy-factory-api": provisioning.CopyFactoryApi,
    "account-features": provisioning.AccountFeatures,
    "credentials": provisioning.TradingAccountCredentials,
    "margin": terminal.MarginRequest,
}
RULES = {**COPYING_RULES, **provisioning_rules.RULES}

_BAD = object()  # in place of a value that was refused
_LARGEST = 1e15
_LONGEST_TEXT = 20_000
_MOST_DETAILS = 100  # a body of a megabyte may have half a million faults, each longer in the answer than in the body
_SECRET = (
    "telegram",
    "telegram.publishing",
    "telegram.publishing.token",
    "password",
)  # what stands there is not repeated


class Invalid(Exception):
    """A document breaks the contract. details: [{parameter, value, message}] of the first hundred problems, in the
    order of the document's fields.
    """

    transient = False

    def __init__(self, details: list[dict[str, Any]]):
        self.details = details[:_MOST_DETAILS]
        self.count = len(details)
        super().__init__(self.text)

    @property
    def text(self) -> str:
        """One sentence for the user."""
        first = self.details[0]
        where = f"{first['parameter']}: " if first["parameter"] else ""
        more = self.count - 1
        rest = f" ({more} more problem{'s' if more > 1 else ''})" if more else ""
        return f"{where}{first['message']}{rest}"


class _Remnant(list[Any]):
    """A list that lost elements: good for reading on, no longer for rules that tell positions."""


class _Problems(list[dict[str, Any]]):
    """of_rules: the numbers of those that a rule has with a value of the right type, which can be kept."""

    def __init__(self) -> None:
        super().__init__()
        self.of_rules: set[int] = set()

    def add(self, path: str, value: Any, message: str, *, is_of_rule: bool = False) -> Any:
        if is_of_rule:
            self.of_rules.add(len(self))
        self.append({"parameter": path, "value": None if path in _SECRET else _printable(value), "message": message})
        return _BAD


def load_json(body: bytes, *, limit: int = MAX_BODY_BYTES) -> Any:
    """The body of a request as plain values.

    Raises Invalid for what is no JSON, too long, too deep or not finite, and for a name that an object holds twice.
    """
    if len(body) > limit:
        raise _invalid(f"The body has {len(body):,} bytes; at most {limit:,} are accepted.")
    text = _decoded(body)
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise _invalid(f"The body is nested deeper than {wire.MAX_DEPTH} levels.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, ValueError) as error:
        # how the decoder calls half a character, \ud800 alone
        is_half = "truncated" in str(error) and "\\ud" in text.lower()
        cause = "it has half a character, such as \\ud800" if is_half else str(error).rstrip(".")
        raise _invalid(f"The body is not acceptable JSON: {cause}.") from error
    if wire.depth_exceeds(value):
        raise _invalid(f"The body is nested deeper than {wire.MAX_DEPTH} levels.")
    _NAMES.decode(text)
    return value


def _decoded(body: bytes) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _invalid("The body is written in UTF-16 or UTF-32: it must be in UTF-8.")
    try:
        text = body.decode("utf-8-sig")  # Windows' editors and alert tools begin with the mark
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not written in UTF-8 (byte {error.start}).") from None
    if not text.strip():
        raise _invalid("The body is empty: it must be JSON.")
    return text


def _refuse_repeated_names(pairs: list[tuple[str, Any]]) -> None:
    """A second volume in one signal has two readings, and parsers differ in which they take."""
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise Invalid([{"parameter": twice[:100], "value": None, "message": "stands twice in one object"}])


_NAMES = json.JSONDecoder(object_pairs_hook=_refuse_repeated_names, parse_int=str, parse_float=str)


def validate(kind: str, raw: Any, *, now: datetime | None = None, stored: dict[str, Any] | None = None) -> Any:
    """The document as its struct of `KINDS`. Raises Invalid with every problem.

    now: bounds `removeAfter` of close instructions; None leaves it unbounded (it is ignored for subscriptions).
    stored: the document that this one replaces. What a rule has against both, at the same place with the same value,
    came with a rule that is newer than the document, and is no reason to refuse an edit of something else.
    """
    collected = _Problems()
    document = _walker(KINDS[kind])(raw, "", collected)
    if kind == "close-instructions" and now is not None and document is not _BAD:
        _bound_removal(document, now, collected)
    problems = list(collected)
    if problems and stored is not None and document is not _BAD:
        known = _Problems()
        _walker(KINDS[kind])(stored, "", known)
        problems = _beyond(collected, raw, known, stored)
    if problems:
        raise Invalid(problems)
    return document


def _beyond(problems: _Problems, raw: dict[str, Any], known: _Problems, stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The problems of `raw` that `stored` does not have."""
    old = [_standing(problem, stored) for number, problem in enumerate(known) if number in known.of_rules]
    return [
        problem
        for number, problem in enumerate(problems)
        if number not in problems.of_rules or _standing(problem, raw) not in old
    ]


def _standing(problem: dict[str, Any], document: dict[str, Any]) -> tuple[list[str], Any, str]:
    """Where a problem stands, with which value, and what it is. A member or subscription is the strategy that it is of,
    whatever its number: taking out another one moves it.
    """
    value: Any = document
    place: list[str] = []
    for name in problem["parameter"].split("."):
        if isinstance(value, list):
            value = value[int(name)]
            part = value.get("strategyId") if len(place) == 1 and isinstance(value, dict) else None
            place.append(f"of {part}" if part is not None else name)
        else:
            value = value.get(name) if isinstance(value, dict) else None
            place.append(name)
    return place, value, problem["message"]


def _invalid(message: str) -> Invalid:
    return Invalid([{"parameter": "", "value": None, "message": message}])


def is_removal_time(ahead_s: float, *, tolerance_s: float = 0.0) -> bool:
    """Whether `removeAfter` may be so many seconds ahead: 30 to 90 days (8, row 9).

    An hour less is let through, as 30 days is also the default. tolerance_s: by how much the clock that measures may be
    behind the one of the request.
    """
    return 30 * _DAY - _HOUR <= ahead_s <= 90 * _DAY + tolerance_s


def _bound_removal(document: documents.CloseInstructions, now: datetime, problems: _Problems) -> None:
    """Problems of `removeAfter`."""
    if document.remove_after is None:
        return
    if not is_removal_time((document.remove_after - now).total_seconds()):
        problems.add("removeAfter", wire.format_time(document.remove_after), "must be between 30 and 90 days from now")


# ------------------------------------------------------------------------------------------------------- the walk

Walk = Callable[[Any, str, _Problems], Any]


@cache
def _walker(struct: type[msgspec.Struct]) -> Walk:
    fields = [
        (field.name, field.encode_name, field.required, _walk_of(field.type))
        for field in inspect.type_info(struct).fields  # type: ignore[attr-defined]  # a struct has fields
    ]
    rules = _rules_of(struct)
    aliases = {name: alias for base in reversed(struct.__mro__) for name, alias in ALIASES.get(base, {}).items()}

    def walk(raw: Any, path: str, problems: _Problems) -> Any:
        if not isinstance(raw, dict):
            return problems.add(path, raw, "must be an object")
        values, is_whole = {}, True
        for name, wire_name, is_required, walk_field in fields:
            value, inner = raw.get(wire_name), f"{path}.{wire_name}" if path else wire_name
            if value is None:
                if is_required:
                    problems.add(inner, None, "is required")
                    is_whole = False
                continue
            if wire_name in aliases:
                value = aliases[wire_name](value)
            value = walk_field(value, inner, problems)
            if value is not _BAD:
                values[name] = value
            elif is_required:
                is_whole = False
        judged = {name: value for name, value in values.items() if type(value) is not _Remnant}
        for rule in rules:
            for wire_name, value, message in rule(judged):
                inner = ".".join(part for part in (path, wire_name) if part)
                problems.add(inner, value, message, is_of_rule=True)
        return struct(**values) if is_whole else _BAD

    return walk


def _rules_of(struct: type) -> list[Rule]:
    return [rule for base in reversed(struct.__mro__) for rule in RULES.get(base, ())]


def _walk_of(described: inspect.Type) -> Walk:
    if isinstance(described, inspect.UnionType):
        known = [member for member in described.types if not isinstance(member, inspect.NoneType)]
        return _walk_of(known[0])
    if isinstance(described, inspect.StructType):
        return _walker(described.cls)
    if isinstance(described, inspect.ListType):
        return _walk_list(_walk_of(described.item_type))
    if isinstance(described, inspect.DictType):
        return _walk_object
    if isinstance(described, inspect.LiteralType):
        return _walk_choice(tuple(str(value) for value in described.values))
    return {
        inspect.StrType: _walk_text,
        inspect.FloatType: _walk_number,
        inspect.IntType: _walk_integer,
        inspect.BoolType: _walk_boolean,
        inspect.DateTimeType: _walk_time,
    }[type(described)]


def _walk_list(walk_item: Walk) -> Walk:
    def walk(raw: Any, path: str, problems: _Problems) -> Any:
        if not isinstance(raw, list):
            return problems.add(path, raw, "must be a list")
        walked = [walk_item(value, f"{path}.{index}", problems) for index, value in enumerate(raw)]
        whole = [value for value in walked if value is not _BAD]
        return whole if len(whole) == len(walked) else _Remnant(whole)

    return walk


def _walk_object(raw: Any, path: str, problems: _Problems) -> Any:
    if not isinstance(raw, dict):
        return problems.add(path, raw, "must be an object")
    problem = wire.unstorable(raw)
    return problems.add(path, raw, problem) if problem else raw


def _walk_choice(choices: tuple[str, ...]) -> Walk:
    in_words = ", ".join(choices)

    def walk(raw: Any, path: str, problems: _Problems) -> Any:
        if isinstance(raw, str) and raw in choices:
            return raw
        return problems.add(path, raw, f"must be one of {in_words}" if len(choices) > 1 else f"must be {in_words}")

    return walk


def _walk_text(raw: Any, path: str, problems: _Problems) -> Any:
    if not isinstance(raw, str):
        return problems.add(path, raw, "must be a text")
    if "\0" in raw:
        return problems.add(path, raw, "must not contain a NUL character")
    if len(raw) > _LONGEST_TEXT:
        return problems.add(path, raw, f"must have at most {_LONGEST_TEXT:,} characters")
    return raw


def _walk_number(raw: Any, path: str, problems: _Problems) -> Any:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        return problems.add(path, raw, "must be a number")
    if not -_LARGEST < raw < _LARGEST:
        return problems.add(path, raw, "must be a finite number of reasonable size")
    return float(raw)


def _walk_integer(raw: Any, path: str, problems: _Problems) -> Any:
    is_integer = (isinstance(raw, int) and not isinstance(raw, bool)) or (isinstance(raw, float) and raw.is_integer())
    if not is_integer:
        return problems.add(path, raw, "must be an integer")
    if not -(2**63) <= raw < 2**63:
        return problems.add(path, raw, "must fit in 64 bits")
    return int(raw)


def _walk_boolean(raw: Any, path: str, problems: _Problems) -> Any:
    return raw if isinstance(raw, bool) else problems.add(path, raw, "must be true or false")


def _walk_time(raw: Any, path: str, problems: _Problems) -> Any:
    if isinstance(raw, datetime):
        return raw
    try:
        return wire.parse_sane_time(raw)
    except ValueError as error:
        return problems.add(path, raw, str(error))


def _printable(value: Any) -> Any:
    """The refused value as an answer can carry it: short, and JSON whatever it was."""
    if isinstance(value, str):
        value = value.replace("\0", "")
        return value if len(value) <= 200 else value[:200] + "…"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return f"{value:.6e}" if abs(value) < 10**300 else "a very large number"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return str(value)[:200]
