"""What a listed token opens: until it ends or is revoked, and no more than it was made for."""

from __future__ import annotations

import pytest

from copying.backend import tokens
from copying.backend.http.token_list import EXPIRED, READS_ONLY, REVOKED, UNLISTED, ListedToken, TokenList

FOREVER = float("inf")


def listed(*, scope="trade", expires_at=FOREVER, is_revoked=False, strict=()) -> TokenList:
    return TokenList({tokens.digest_of("token"): ListedToken(scope, expires_at, is_revoked)}, strict)


@pytest.mark.parametrize(
    ("row", "method", "now", "expected"),
    [
        ({}, "POST", 100.0, None),
        ({"expires_at": 100.0}, "GET", 99.9, None),
        ({"expires_at": 100.0}, "GET", 100.0, EXPIRED),
        ({"expires_at": 100.0}, "GET", 100.1, EXPIRED),
        ({"is_revoked": True}, "GET", 1.0, REVOKED),
        ({"scope": "read"}, "GET", 1.0, None),
        ({"scope": "read"}, "HEAD", 1.0, None),
        ({"scope": "read"}, "PUT", 1.0, READS_ONLY),
        ({"scope": "read"}, "POST", 1.0, READS_ONLY),
        ({"scope": "read"}, "DELETE", 1.0, READS_ONLY),
    ],
)
def test_a_listed_token_opens_what_its_row_says(row, method, now, expected):
    rows = listed(**row)
    assert rows.refusal("token", "local", method, now) is expected
    assert list(rows.used.values()) == ([now] if expected is None else [])


@pytest.mark.parametrize(("strict", "expected"), [((), None), (("other",), None), (("local",), UNLISTED)])
def test_a_token_without_a_row_counts_unless_its_tenant_takes_listed_ones_only(strict, expected):
    assert listed(strict=strict).refusal("another", "local", "POST", 1.0) is expected
    assert TokenList(strict=strict).refusal("another", "local", "POST", 1.0) is expected


def test_listed_tokens_are_of_their_tenant_and_never_the_same(settings):
    settings.SECRET_KEY = "k" * 60
    first, second = tokens.issue_listed("firm-2"), tokens.issue_listed("firm-2")
    assert first != second
    assert tokens.tenant_of(first) == tokens.tenant_of(second) == "firm-2"
    assert first.count(".") == 2
    with pytest.raises(ValueError, match="tenant"):
        tokens.issue_listed("a.b")
