"""Tokens of the embedded backend: who holds one is that tenant. Signed; replacing SECRET_KEY ends them all.

One with a name is listed by its digest (copying.models.BackendToken), with what it may do, until when, and whether it
was revoked; one without a name is as good as its signature, unless its tenant takes listed ones only. The shape is
`x.y.z` because the vendor's clients refuse anything else before they send it (contract, 1.5). Must not be used for
people: they sign in to the portal.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string

from django.core.signing import BadSignature, Signer, TimestampSigner

TENANT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LETTERS = string.ascii_letters + string.digits  # those of a time of issue
_CHANCE_LETTERS = 32  # a time of issue has 6
_SALT = "copying.backend.tokens"


def issue(tenant: str) -> str:
    """A new token of a tenant: tenant id, time of issue and signature, joined by dots."""
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError("A tenant id consists of 1 to 64 letters, digits, '_' and '-'.")
    return TimestampSigner(sep=".", salt=_SALT).sign(tenant)


def issue_listed(tenant: str) -> str:
    """A new token that no other is like, to be listed: by chance where the others have the time of issue."""
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError("A tenant id consists of 1 to 64 letters, digits, '_' and '-'.")
    chance = "".join(secrets.choice(_LETTERS) for _ in range(_CHANCE_LETTERS))
    return Signer(sep=".", salt=_SALT).sign(f"{tenant}.{chance}")


def has_name(token: str) -> bool:
    """Whether one of ours was made to be listed: without its row it is as good as revoked."""
    return len(token.partition(".")[2].partition(".")[0]) == _CHANCE_LETTERS


def digest_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def tenant_of(token: str) -> str | None:
    """The tenant a token was issued to; None when it is not one of ours."""
    if token.count(".") != 2:
        return None
    try:
        return TimestampSigner(sep=".", salt=_SALT).unsign(token)
    except BadSignature:
        return None
