"""Passwords of trading accounts: only what they are checked with is kept, and that is slow to try."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets

from copying.backend.state.errors import Refused
from copying.contract.provisioning import AUTHENTICATION_FAILED

SHORTEST = 8  # as MetaTrader 5 asks; a shorter one cannot be right
COST = {"n": 2**13, "r": 8, "p": 1}  # some 20 ms


def refused_login() -> Refused:
    """The broker does not know this login with this password."""
    text = "The broker refuses the login: login, password, server or platform is wrong. Change it before you try again."
    return Refused(400, "ValidationError", text, AUTHENTICATION_FAILED)


async def verifier_of(password: str) -> str:
    """What a password is checked with from now on. Raises Refused for one that no broker gives out."""
    if len(password) < SHORTEST:
        raise refused_login()
    salt = secrets.token_hex(16)
    return f"{salt}${await _derived(salt, password)}"


async def check(verifier: str, password: str) -> None:
    """Raises Refused when it is not the password of the verifier."""
    salt, _, derived = verifier.partition("$")
    if not hmac.compare_digest(derived, await _derived(salt, password)):
        raise refused_login()


async def _derived(salt: str, password: str) -> str:
    """In a thread: the event loop trades meanwhile."""
    derived = await asyncio.to_thread(hashlib.scrypt, password.encode(), salt=bytes.fromhex(salt), **COST)
    return derived.hex()
