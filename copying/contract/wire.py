"""How documents travel: JSON in and out, the times on the wire, and edits laid over a document without losing fields.

What arrives is refused here when it cannot be kept: not-a-number, figures beyond `LARGEST` or with more decimal
places than `SMALLEST`, bombs of nesting. Knows nothing of the rules of single fields (validation.py).

Raises msgspec.DecodeError (not JSON) and its kind msgspec.ValidationError (JSON of another shape).
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from itertools import chain
from operator import attrgetter, is_not
from typing import Any, TypeVar, overload

import msgspec
from msgspec import inspect

T = TypeVar("T")

LARGEST = Decimal("1e14")  # exclusive; figures of a history are kept in columns of that size
SMALLEST = Decimal("1e-30")
MAX_DEPTH = 64
SANE_YEARS = range(1970, 2201)  # of times that people and their programs send
_SECONDS = re.compile(r"[+-]?[0-9]{9,}(\.[0-9]*)?")  # since 1970, or milliseconds

_is_given = partial(is_not, None)
_NUL = b"\\u0000"
_EXACT_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
# Adding up under these traps is how a thousand figures are checked in one call: a figure too large overflows, one
# with too many digits cannot be added exactly, a tiny one is subnormal, and not-a-number survives into the sum.
_BOUNDS = decimal.Context(
    prec=64,
    Emax=13,
    Emin=-30,
    traps=[
        decimal.Overflow,
        decimal.Inexact,
        decimal.Rounded,
        decimal.Clamped,
        decimal.Subnormal,
        decimal.InvalidOperation,
    ],
)


@overload
def decode(body: bytes | str, type: type[T]) -> T: ...
@overload
def decode(body: bytes | str, type: Any = Any) -> Any: ...
def decode(body: bytes | str, type: Any = Any) -> Any:
    """JSON text as `type`; numbers of Decimal fields keep every digit.

    A NUL character inside a text, which no table can keep, is dropped.
    """
    body = body.encode() if isinstance(body, str) else body
    try:
        value = _decoder(type).decode(without_nul(body))
    except RecursionError:
        raise msgspec.ValidationError("The document is nested too deeply") from None
    check_figures(value, type)
    return value


@cache
def _decoder(type: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type, strict=True)


def without_nul(body: bytes) -> bytes:
    """JSON text without the NUL characters inside its texts."""
    has_nul = b"\\" in body and _NUL in body  # looking for one byte first is ten times as fast
    return _ENCODER.encode(_clean(_EXACT_DECODER.decode(body))) if has_nul else body


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value


def encode(value: Any) -> bytes:
    """JSON text of a struct, a document or a list of them: absent fields omitted, times in milliseconds."""
    return _ENCODER.encode(to_wire(value))


def to_wire(value: Any) -> Any:
    """What `encode` writes, as plain values: dict, list, text, numbers (Decimal stays Decimal)."""
    return _times_as_text(msgspec.to_builtins(value, builtin_types=(datetime, Decimal)))


def _times_as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, dict):
        return {key: _times_as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_times_as_text(inner) for inner in value]
    return value


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds: 2020-08-24T00:00:00.000Z. A time without a zone is taken for UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """Any ISO 8601 spelling, quoted or not, as an aware UTC time; without a zone it is UTC. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("a time is a text")
    if _SECONDS.fullmatch(text.strip().strip('"').strip()):
        raise ValueError("a number of seconds is no time")  # some would pass for a year, a day and an hour
    moment = datetime.fromisoformat(text.strip().strip('"').strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def parse_sane_time(text: Any, years: range = SANE_YEARS) -> datetime:
    """As `parse_time`, within `years`. Raises ValueError with what a time must be, to put behind its name."""
    is_number = isinstance(text, int | float) and not isinstance(text, bool)
    if is_number or (isinstance(text, str) and _SECONDS.fullmatch(text.strip().strip('"').strip())):
        raise ValueError("must be a time such as 2020-08-24T00:00:00.000Z, not a number of seconds or milliseconds")
    try:
        moment = parse_time(text)
    except ValueError:
        raise ValueError("must be an ISO 8601 time such as 2020-08-24T00:00:00.000Z") from None
    if moment.year not in years:
        raise ValueError(f"must be a time between {years[0]} and {years[-1]}")
    return moment


def depth_exceeds(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether lists and objects are nested deeper than `limit`."""
    level = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


def unstorable(value: Any) -> str:
    """Why JSON of a caller cannot be stored, "" when it can: neither journal nor database takes all of it."""
    level = [value]
    while level:
        if any(isinstance(inner, int) and not -(2**63) <= inner < 2**63 for inner in level):
            return "must not hold a whole number of more than 64 bits"
        names = [name for outer in level if isinstance(outer, dict) for name in outer]
        if any(isinstance(inner, str) and "\0" in inner for inner in (*level, *names)):
            return "must not contain a NUL character"
        level = [inner for outer in level for inner in _children(outer)]
    return ""


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# ------------------------------------------------------------------------------------------------ bounds of figures


def check_figures(value: Any, type: Any) -> None:
    """Refuse Decimal fields that are not finite, too large or too fine. Costs one addition per figure."""
    figures = _figures_of(type)
    if figures is None:
        return
    structs = value if isinstance(value, list) else [value]
    read, names = figures
    try:
        with decimal.localcontext(_BOUNDS):
            total = sum(map(abs, filter(_is_given, chain.from_iterable(map(read, structs)))))
        is_sound = not isinstance(total, Decimal) or total.is_finite()
    except decimal.DecimalException:
        is_sound = False
    if not is_sound:
        _name_bad_figure(structs, names)


def _name_bad_figure(structs: list[Any], names: tuple[str, ...]) -> None:
    for index, struct in enumerate(structs):
        for name in names:
            figure = getattr(struct, name)
            if figure is not None and not is_sound_figure(figure):
                shown = str(figure)
                shown = shown if len(shown) <= 40 else shown[:40] + "…"
                raise msgspec.ValidationError(f"The number {shown} is out of range - at `$[{index}].{name}`")
    # each alone is sound, only their sum is not


def is_sound_figure(figure: Decimal) -> bool:
    """Finite, below `LARGEST`, not finer than can be kept."""
    try:
        with decimal.localcontext(_BOUNDS):
            return (figure + 0).is_finite()
    except decimal.DecimalException:
        return False


@cache
def _figures_of(type: Any) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[str, ...]] | None:
    """How to read all Decimal fields of a struct (or of the structs of a list) at once."""
    if type is Any:
        return None
    described = inspect.type_info(type)
    if isinstance(described, inspect.ListType):
        described = described.item_type
    if not isinstance(described, inspect.StructType):
        return None
    names = tuple(field.name for field in described.fields if _holds_decimal(field.type))
    if not names:
        return None
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda struct: (only(struct),), names
    return attrgetter(*names), names


def _holds_decimal(described: inspect.Type) -> bool:
    if isinstance(described, inspect.UnionType):
        return any(_holds_decimal(member) for member in described.types)
    return isinstance(described, inspect.DecimalType)


# ------------------------------------------------------------------------------- edits laid over the original document

# What tells the elements of a list of objects apart, by wire name of the list.
_IDENTITY = {
    "subscriptions": ("strategyId",),
    "members": ("strategyId",),
    "riskLimits": ("type", "applyTo", "closePositions"),
    "symbolMapping": ("from",),
}


def overlay(original: dict[str, Any], edited: msgspec.Struct | dict[str, Any]) -> dict[str, Any]:
    """The document to send: `original` with the edit laid over it, fields that we do not know kept at every depth.

    edited: a struct is the whole of the fields it knows, so those absent from it are taken out of the document; of a
    dict only the fields named are changed, and None takes one out. Elements of lists belong together by their identity
    (strategyId and the like), else by position. Values that did not change keep the spelling of the original.
    """
    if isinstance(edited, msgspec.Struct):
        return _lay_struct(original, edited)
    merged = dict(original)
    for name, value in edited.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _lay(name, original.get(name), value)
    return merged


def _lay_struct(original: dict[str, Any], edited: msgspec.Struct) -> dict[str, Any]:
    merged = dict(original)
    for attribute, name in zip(edited.__struct_fields__, edited.__struct_encode_fields__, strict=True):
        value = getattr(edited, attribute)
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _lay(name, original.get(name), value)
    return merged


def _lay(name: str, original: Any, value: Any) -> Any:
    if isinstance(value, msgspec.Struct | dict):
        return overlay(original if isinstance(original, dict) else {}, value)
    if isinstance(value, list | tuple):
        return _lay_list(name, original if isinstance(original, list) else [], value)
    if isinstance(value, datetime):
        return original if _is_same_time(original, value) else format_time(value)
    return original if type(original) is not bool and original == value and original is not None else value


def _is_same_time(original: Any, moment: datetime) -> bool:
    try:
        return format_time(parse_time(original)) == format_time(moment)
    except ValueError:
        return False


def _lay_list(name: str, original: list[Any], values: Any) -> list[Any]:
    keys = _IDENTITY.get(name)
    if keys is None:
        return [
            _lay("", original[index] if index < len(original) else None, value) for index, value in enumerate(values)
        ]
    unclaimed: dict[tuple[str, ...], list[int | None]] = {}
    for index, element in enumerate(original):
        unclaimed.setdefault(_identity(element, keys), []).append(index)
    partners = [(unclaimed.get(_identity(value, keys)) or [None]).pop(0) for value in values]
    claimed = {index for index in partners if index is not None}
    if len(values) == len(original):  # one whose identity was edited is still the one at its place
        partners = [
            index if partner is None and index not in claimed else partner for index, partner in enumerate(partners)
        ]
    return [
        _lay("", None if partner is None else original[partner], value)
        for partner, value in zip(partners, values, strict=True)
    ]


def _identity(element: Any, keys: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(element, msgspec.Struct):
        element = to_wire(element)
    return tuple(str(element.get(key)) for key in keys) if isinstance(element, dict) else (str(element),)
