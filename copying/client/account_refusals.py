"""Why a backend refuses a trading account, in a sentence that says what to do (account APIs, 2.5).

The codes come as a text, or as an object with `code` and what belongs to it; ordinary faults of a document come as a
list of parameters and are no business of this file. What a code means is ours to say: of the backend's body only the
names of servers and a number are repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .errors import AccountRefused

_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,59}")
QUOTA = "QUOTA"  # ours: the backend says it in words only
MOST_BROKERS, MOST_SERVERS, LONGEST_NAME = 20, 50, 100

ADVICE = {
    "E_AUTH": (
        "The broker does not let this account in. Check login, password, server and platform, and that the account is "
        "not closed; change something before you try again: each failed attempt may be charged."
    ),
    "E_SRV_NOT_FOUND": (
        "No broker server of this name is known. Write it exactly as the terminal shows it{servers}, or upload a "
        "provisioning profile at the vendor."
    ),
    "E_SERVER_TIMEZONE": (
        "The settings of this broker server could not be detected; it may no longer exist. Check its name and try "
        "again later, or use a provisioning profile with the broker's time zone."
    ),
    "E_RESOURCE_SLOTS": (
        "The account is too large for the resource slots asked for. Allow {slots} and try again: more slots cost more."
    ),
    "E_TRADING_ACCOUNT_DISABLED": "The broker has disabled this account. Ask the broker to enable it, then try again.",
    "E_PASSWORD_CHANGE_REQUIRED": (
        "The broker wants a new password first. Change it in the trading terminal, then enter the new one here."
    ),
    "ERR_OTP_REQUIRED": (
        "The account asks for a one-time password. Switch that off for this account at the broker, then try again."
    ),
    "E_NO_SYMBOLS": "The account has no symbol that it may trade. Ask the broker to enable trading, then try again.",
    QUOTA: "No more accounts can be added: the quota of the vendor is used up. Ask the vendor for a higher one.",
}
UNKNOWN = "The backend refused the account with the code {code}. Check its data, then ask the vendor what it means."


def account_refusal(body: dict[str, Any], public_text: Callable[..., str]) -> AccountRefused | None:
    """What an error body with status 400 says of an account; None for any other refusal.

    public_text: makes a text of the backend fit for a page.
    """
    details = body.get("details")
    members = details if isinstance(details, dict) else {}
    code = members.get("code") if members else details
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        if details or not re.search(r"\bquota\b", str(body.get("message")), re.IGNORECASE):
            return None
        code = QUOTA
    servers = _servers(members.get("serversByBrokers"), public_text)
    slots = _slots(members.get("recommendedResourceSlots"))
    return AccountRefused(_sentence(code, servers, slots), code, servers=servers, slots=slots)


def _sentence(code: str, servers: dict[str, list[str]], slots: int | None) -> str:
    names = [name for of_broker in servers.values() for name in of_broker]
    suggested = f", for example {', '.join(names[:5])}" if names else ""
    return ADVICE.get(code, UNKNOWN).format(
        code=code, servers=suggested, slots=f"{slots} slots" if slots else "more slots"
    )


def _servers(value: Any, public_text: Callable[..., str]) -> dict[str, list[str]]:
    """Broker to names of servers, bounded: the names are shown as they are."""
    if not isinstance(value, dict):
        return {}
    lists = [(broker, names) for broker, names in value.items() if isinstance(names, list)]
    return {
        public_text(broker, LONGEST_NAME): [
            public_text(name, LONGEST_NAME) for name in names[:MOST_SERVERS] if isinstance(name, str)
        ]
        for broker, names in lists[:MOST_BROKERS]
    }


def _slots(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1000 else None
