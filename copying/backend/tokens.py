"""Tokens of the embedded backend: who holds one is that tenant. Signed, not stored; replacing SECRET_KEY ends them all.

The shape is `x.y.z` because the vendor's clients refuse anything else before they send it (contract, 1.5). Must not be
used for people: they sign in to the portal.
"""

from __future__ import annotations

import re

from django.core.signing import BadSignature, TimestampSigner

TENANT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SALT = "copying.backend.tokens"


def issue(tenant: str) -> str:
    """A new token of a tenant: tenant id, time of issue and signature, joined by dots."""
    if not TENANT_ID.fullmatch(tenant):
        raise ValueError("A tenant id consists of 1 to 64 letters, digits, '_' and '-'.")
    return TimestampSigner(sep=".", salt=_SALT).sign(tenant)


def tenant_of(token: str) -> str | None:
    """The tenant a token was issued to; None when it is not one of ours."""
    if token.count(".") != 2:
        return None
    try:
        return TimestampSigner(sep=".", salt=_SALT).unsign(token)
    except BadSignature:
        return None
