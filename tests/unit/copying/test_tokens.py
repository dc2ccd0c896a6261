"""Tokens of the embedded backend."""

import pytest

from copying.backend import tokens


@pytest.mark.parametrize("tenant", ["local", "firm-7", "A_b-9", "x" * 64])
def test_a_token_has_three_parts_and_leads_back_to_its_tenant(tenant):
    token = tokens.issue(tenant)
    assert token.count(".") == 2
    assert tokens.tenant_of(token) == tenant


@pytest.mark.parametrize("tenant", ["", "a.b", "ä", "a b", "x" * 65, "a\n"])
def test_a_tenant_with_other_characters_gets_none(tenant):
    with pytest.raises(ValueError, match="tenant id"):
        tokens.issue(tenant)


def test_a_changed_token_is_nobodys():
    token = tokens.issue("local")
    tenant, time, signature = token.split(".")
    for forged in (f"other.{time}.{signature}", f"{tenant}.{time}.{signature[:-1]}A", token + ".x", "x.y.z", "", "a.b"):
        if forged != token:
            assert tokens.tenant_of(forged) is None
