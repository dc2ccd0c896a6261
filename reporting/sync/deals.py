"""Pages of transactions as lines of COPY text, each with its key and time. Knows nothing of tables but the columns.

Figures are never parsed where a page is plain: their text goes through to the column after one look at all of a page
for anything that is no ordinary number. A page that is not plain (fields we do not know, exponents, figures of many
digits, figures as text) is judged by the contract itself and read field by field; what we do not know goes to `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from copying.contract import wire
from copying.contract.history import StrategyRef, TransactionDocument, TransactionMetrics

COLUMNS = (
    "backend_id",
    "subscriber_id",
    "strategy_id",
    "time",
    "type",
    "symbol",
    "position_id",
    "subscriber_position_id",
    "profit",
    "swap",
    "improvement",
    "provider_commission",
    "platform_commission",
    "volume_lots",
    "price",
    "lot_price",
    "amount",
    "commission",
    "incoming_provider_commission",
    "incoming_platform_commission",
    "latency_ms",
    "algorithm_latency_ms",
    "slippage_bp",
    "slippage_amount",
    "extra",
)
_REQUIRED = ("profit", "swap", "improvement", "provider_commission", "platform_commission")
_OPTIONAL = (
    "quantity",
    "tick_price",
    "lot_price",
    "amount",
    "commission",
    "incoming_provider_commission",
    "incoming_platform_commission",
)
_ZERO, _NULL = Raw(b"0"), Raw(b"null")


class CopyLine(Struct, gc=False):
    """One transaction as a line of COPY text. key: what makes it one of a kind within a connection."""

    key: str
    time: datetime
    text: str


class _Deal(Struct, rename="camel", kw_only=True, gc=False):
    id: str
    type: str
    time: datetime
    subscriber_id: str
    strategy: StrategyRef
    symbol: str | None = None
    subscriber_user: Raw = _NULL
    provider_user: Raw = _NULL
    demo: bool = False
    position_id: str | None = None
    slave_position_id: str | None = None
    improvement: Raw = _ZERO
    provider_commission: Raw = _ZERO
    platform_commission: Raw = _ZERO
    incoming_provider_commission: Raw = _NULL
    incoming_platform_commission: Raw = _NULL
    quantity: Raw = _NULL
    lot_price: Raw = _NULL
    tick_price: Raw = _NULL
    amount: Raw = _NULL
    commission: Raw = _NULL
    swap: Raw = _ZERO
    profit: Raw = _ZERO
    metrics: TransactionMetrics | None = None
    source_strategy: StrategyRef | None = None


class _KnownStrategy(StrategyRef, forbid_unknown_fields=True):
    pass


class _KnownMetrics(TransactionMetrics, forbid_unknown_fields=True):
    pass


class _KnownDeal(_Deal, kw_only=True, forbid_unknown_fields=True):
    strategy: _KnownStrategy
    metrics: _KnownMetrics | None = None
    source_strategy: _KnownStrategy | None = None


_known = msgspec.json.Decoder(list[_KnownDeal])
_any = msgspec.json.Decoder(list[_Deal])
_required, _optional = attrgetter(*_REQUIRED), attrgetter(*_OPTIONAL)
_NO_METRICS = "\\N\t\\N\t\\N\t\\N"
_ESCAPES = str.maketrans({"\0": "\t", "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_EXTRA = msgspec.json.Encoder(decimal_format="number")
_exact = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_NAMES = frozenset(_Deal.__struct_encode_fields__)
_INNER_NAMES = {
    "strategy": frozenset(StrategyRef.__struct_encode_fields__),
    "sourceStrategy": frozenset(StrategyRef.__struct_encode_fields__),
    "metrics": frozenset(TransactionMetrics.__struct_encode_fields__),
}
_DIGITS_TO_NINES = bytes.maketrans(b"012345678", b"9" * 9)
_MANY_DIGITS = b"9" * 15
_SEPARATORS = re.compile(rb"[\t\n]")


def read_page(body: bytes) -> list[CopyLine]:
    """The lines of a page. Raises msgspec.DecodeError, as `wire.decode` does."""
    try:
        body = wire.without_nul(body)
        try:
            deals = _known.decode(body)
        except msgspec.ValidationError:
            return _read_carefully(body)
    except RecursionError:
        raise msgspec.ValidationError("The document is nested too deeply") from None
    required, optional = _joined(_required, deals), _joined(_optional, deals)
    if not (_is_plain(required) and _is_plain(optional.replace(b"null", b""))):
        return _read_carefully(body)
    return _lines(deals, required, optional, [None] * len(deals), has_escapes=b"\\" in body)


def _joined(figures, deals: Sequence[_Deal]) -> bytes:
    return b"\n".join([b"\t".join(figures(deal)) for deal in deals])


def _is_plain(figures: bytes) -> bool:
    """Whether all are numbers without exponent, below `wire.LARGEST` and not too fine. JSON's grammar is checked."""
    if figures.translate(None, b"0123456789.-\t\n"):
        return False
    if _MANY_DIGITS not in figures.translate(_DIGITS_TO_NINES):
        return True
    return all(wire.is_sound_figure(Decimal(f.decode())) for f in _SEPARATORS.split(figures) if len(f) >= 15)


def _lines(
    deals: Sequence[_Deal], required: bytes, optional: bytes, unknown: list, *, has_escapes: bool
) -> list[CopyLine]:
    firsts, seconds = required.decode().split("\n"), optional.replace(b"null", b"\\N").decode().split("\n")
    escaped = _escaped if has_escapes else _as_it_is
    lines = []
    for deal, first, second, more in zip(deals, firsts, seconds, unknown, strict=False):
        metrics, time = deal.metrics, deal.time
        key = escaped(f"{deal.id}\0{deal.subscriber_id}\0{deal.strategy.id}")
        texts = escaped(f"{deal.type}\0{deal.symbol or ''}\0{deal.position_id or ''}\0{deal.slave_position_id or ''}")
        measured = _NO_METRICS if metrics is None else _measured(metrics)
        extra = _extra(deal, more)
        lines.append(
            CopyLine(key, time, f"{key}\t{time.isoformat()}\t{texts}\t{first}\t{second}\t{measured}\t{extra}\n")
        )
    return lines


def _as_it_is(texts: str) -> str:
    return texts.replace("\0", "\t")


def _escaped(texts: str) -> str:
    """No text holds a NUL any more, so it can stand between them until tabs inside them are escaped."""
    return texts.translate(_ESCAPES)


def _measured(metrics: TransactionMetrics) -> str:
    return "\t".join(
        [
            "\\N" if value is None else str(value)
            for value in (
                metrics.trade_copying_latency,
                metrics.trade_algorithm_latency,
                metrics.trade_copying_slippage_in_basis_points,
                metrics.trade_copying_slippage_in_account_currency,
            )
        ]
    )


def _extra(deal: _Deal, more: dict[str, Any] | None) -> str:
    """What has no column: the leaf strategy of a portfolio, a demo account, latencies of the terminals, the unknown."""
    extra = more or {}
    if deal.source_strategy is not None:
        leaf = {"id": deal.source_strategy.id, "name": deal.source_strategy.name}
        extra["sourceStrategy"] = leaf | extra.get("sourceStrategy", {})
    if deal.demo:
        extra["demo"] = True
    if deal.metrics is not None and deal.metrics.mt_and_broker_signal_latency is not None:
        extra["mtAndBrokerSignalLatency"] = deal.metrics.mt_and_broker_signal_latency
    if deal.metrics is not None and deal.metrics.mt_and_broker_trade_latency is not None:
        extra["mtAndBrokerTradeLatency"] = deal.metrics.mt_and_broker_trade_latency
    return _EXTRA.encode(extra).decode().translate(_ESCAPES) if extra else "\\N"


# ------------------------------------------------------------------------------------------- a page that is not plain


def _read_carefully(body: bytes) -> list[CopyLine]:
    wire.decode(body, list[TransactionDocument])  # raises what is wrong with it, if anything
    deals = _any.decode(body)
    required, optional = (
        b"\n".join([b"\t".join(map(_plain, figures(deal))) for deal in deals]) for figures in (_required, _optional)
    )
    return _lines(deals, required, optional, list(map(_unknown, _exact.decode(body))), has_escapes=True)


def _plain(figure: Raw) -> bytes:
    text = bytes(figure)
    return text if text == b"null" else str(Decimal(text.strip(b'"').decode())).encode()


def _unknown(record: dict[str, Any]) -> dict[str, Any] | None:
    """The fields that the contract does not name, at the depth where they stand; None without any."""
    more = {name: value for name, value in record.items() if name not in _NAMES}
    for name, known in _INNER_NAMES.items():
        inner = record.get(name) or {}
        if beyond := {key: value for key, value in inner.items() if key not in known}:
            more[name] = beyond
    return more or None
