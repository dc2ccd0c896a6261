"""How documents travel: JSON in and out, the times on the wire, and edits laid over a document without losing fields.

What arrives is refused here when it cannot be kept: not-a-number, figures beyond `LARGEST` or with more decimal
places than `SMALLEST`, bombs of nesting. Knows nothing of the rules of single fields (validation.py).

Raises msgspec.DecodeError (not JSON) and msgspec.ValidationError (JSON of another shape), one being a kind of the other.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from itertools import chain
from operator import attrgetter, is_not
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")

LARGEST = Decimal("1e14")  # exclusive; figures of a history are kept in columns of that size
SMALLEST = Decimal("1e-30")
MAX_DEPTH = 64

_is_given = partial(is_not, None)
_NUL = b"\\u0000"
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


def decode(body: bytes | str, type: type[T] | Any = Any) -> T:
    """JSON text as `type`; numbers of Decimal fields keep every digit.

    A NUL character inside a text, which no table can keep, is dropped.
    """
    body = body.encode() if isinstance(body, str) else body
    try:
        decoder = _decoder(type)
        value = _decode_without_nul(body, type) if _NUL in body else decoder.decode(body)
    except RecursionError:
        raise msgspec.ValidationError("The document is nested too deeply") from None
    check_figures(value, type)
    return value


@cache
def _decoder(type: Any) -> msgspec.json.Decoder:
    return msgspec.json.Decoder(type, strict=True)


def _decode_without_nul(body: bytes, type: Any) -> Any:
    raw = _clean(msgspec.json.decode(body, type=_Exact))
    return decode(_ENCODER.encode(raw), type)


_Exact = dict[str, Any] | list[Any] | str | int | float | bool | None


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
    moment = datetime.fromisoformat(text.strip().strip('"').strip())
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the time is out of range") from error


def depth_exceeds(value: Any, limit: int = MAX_DEPTH) -> bool:
    """Whether lists and objects are nested deeper than `limit`."""
    level = [value]
    for _ in range(limit + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return False
    return True


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
def _figures_of(type: Any) -> tuple[Callable[[Any], tuple], tuple[str, ...]] | None:
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
