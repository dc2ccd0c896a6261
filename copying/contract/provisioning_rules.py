"""What trading accounts must be beyond the types of their fields (account APIs, 2.4 and 2.6). As rules.py."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from . import provisioning, terminal
from .rules import Problem, Rule, Values
from .texts import ONE_LINE, is_one_line

_LOGIN = re.compile(r"[0-9]{1,18}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_MOST_TAGS, _MOST_METADATA = 50, 1_024
_LONGEST_WORD = 100
_LONGEST = {"name": 200, "server": 200, "password": 100}


def account(values: Values) -> Iterator[Problem]:
    """Names and servers of one line, metadata of at most 1,024 characters, figures within reason."""
    for name, most in _LONGEST.items():
        value = values.get(name)
        if value is None:
            continue
        if not value.strip() or len(value) > most:
            yield name, None if name == "password" else value, f"must have 1 to {most} characters"
        elif not is_one_line(value):
            yield name, None if name == "password" else value, ONE_LINE
    for name, wire_name in (("symbol", "symbol"), ("provisioning_profile_id", "provisioningProfileId")):
        value = values.get(name, "")
        if len(value) > _LONGEST_WORD:
            yield wire_name, value, f"must have at most {_LONGEST_WORD} characters"
        elif value and not is_one_line(value):
            yield wire_name, value, ONE_LINE
    for name, wire_name in (
        ("slippage", "slippage"),
        ("quote_streaming_interval_in_seconds", "quoteStreamingIntervalInSeconds"),
    ):
        if values.get(name, 0) < 0:
            yield wire_name, values[name], "must not be negative"
    for name, wire_name in (
        ("resource_slots", "resourceSlots"),
        ("copy_factory_resource_slots", "copyFactoryResourceSlots"),
    ):
        if not 1 <= values.get(name, 1) <= 100:
            yield wire_name, values[name], "must be between 1 and 100"
    if len(values.get("tags", ())) > _MOST_TAGS:
        yield "tags", None, f"must be at most {_MOST_TAGS}"
    elif any(len(tag) > _LONGEST_WORD for tag in values.get("tags", ())):
        yield "tags", None, f"must have at most {_LONGEST_WORD} characters each"
    if len(msgspec.json.encode(values.get("metadata", {}))) > _MOST_METADATA:
        yield "metadata", None, f"must have at most {_MOST_METADATA:,} characters as JSON"
    if values.get("manual_trades") and values.get("magic"):
        yield "magic", values["magic"], "must be 0 when trades are placed as manual ones"


def new_account(values: Values) -> Iterator[Problem]:
    """Login and password together, a platform, a paper account's figures within reason."""
    yield from login(values)
    if ("login" in values) != ("password" in values):
        missing = "password" if "login" in values else "login"
        yield missing, None, "is required: login and password come together, or neither does"
    if "platform" not in values and "provisioning_profile_id" not in values:
        yield "platform", None, "is required: mt4 or mt5"
    if not 0 <= values.get("balance", 0) <= 1e12:
        yield "balance", values["balance"], "must be between 0 and 1e12"
    if not 1 <= values.get("leverage", 1) <= 1000:
        yield "leverage", values["leverage"], "must be between 1 and 1000"
    for name, wire_name in (("currency", "currency"), ("base_currency", "baseCurrency")):
        if name in values and not _CURRENCY.fullmatch(values[name]):
            yield wire_name, values[name], "must be three capital letters"


def login(values: Values) -> Iterator[Problem]:
    """Broker account numbers are digits."""
    if "login" in values and not _LOGIN.fullmatch(values["login"]):
        yield "login", values["login"], "must be 1 to 18 digits"


def slots(values: Values) -> Iterator[Problem]:
    """Capacity that can be paid for."""
    if not 1 <= values.get("copy_factory_resource_slots", 1) <= 100:
        yield "copyFactoryResourceSlots", values["copy_factory_resource_slots"], "must be between 1 and 100"


def margin(values: Values) -> Iterator[Problem]:
    """A market order of something."""
    if values.get("type", "ORDER_TYPE_BUY") not in ("ORDER_TYPE_BUY", "ORDER_TYPE_SELL"):
        yield "type", values["type"], "must be ORDER_TYPE_BUY or ORDER_TYPE_SELL"
    for name, wire_name in (("volume", "volume"), ("open_price", "openPrice")):
        if values.get(name, 1) <= 0:
            yield wire_name, values[name], "must be greater than 0"


RULES: dict[type, tuple[Rule, ...]] = {
    provisioning.AccountUpdateBase: (account,),
    provisioning.NewTradingAccount: (new_account,),
    provisioning.TradingAccountCredentials: (login,),
    provisioning.CopyFactoryApi: (slots,),
    terminal.MarginRequest: (margin,),
}
