"""A webhook belongs to one strategy of one tenant: nobody else changes, takes over or removes it."""

from __future__ import annotations

import pytest

from copying.backend.state.commands import OpenAccount, PutStrategy, PutWebhook, RemoveWebhook
from copying.backend.state.errors import Refused
from tests.unit.copying.backend.desk import Desk

DOCUMENT = {"symbolMapping": [], "magic": 1}


@pytest.fixture
def webhooks(desk: Desk) -> Desk:
    """Two strategies of t, one of u; t has a webhook of the first."""
    desk.strategy("S", "p")
    desk.strategy("T", "q")
    desk.do(OpenAccount(tenant="u", account_id="r", name="r"))
    document = {"name": "V", "description": "", "accountId": "r"}
    desk.do(PutStrategy(tenant="u", strategy_id="V", document=document))
    desk.do(PutWebhook(tenant="t", strategy_id="S", webhook_id="hook", document=DOCUMENT))
    return desk


# tenant, strategy; V of u and S of t are own, so that only the webhook is not
WAYS = [("t", "S", True), ("t", "T", False), ("u", "V", False), ("u", "S", False), ("t", "V", False)]


@pytest.mark.parametrize(("tenant", "strategy_id", "is_own"), WAYS)
def test_a_webhook_is_changed_by_its_owner_at_its_strategy(webhooks: Desk, tenant, strategy_id, is_own) -> None:
    change = PutWebhook(tenant=tenant, strategy_id=strategy_id, webhook_id="hook", document={"magic": 2})
    refused = webhooks.try_(change).refused
    assert (refused is None) is is_own
    assert refused is None or refused.status == 404
    known = webhooks.book.webhooks_by_id["hook"]
    assert (known.tenant, known.strategy_id) == ("t", "S")
    assert known.document == {"symbolMapping": [], "magic": 2 if is_own else 1}


@pytest.mark.parametrize(("tenant", "strategy_id", "is_own"), WAYS)
def test_a_webhook_is_removed_by_its_owner_at_its_strategy(webhooks: Desk, tenant, strategy_id, is_own) -> None:
    command = RemoveWebhook(tenant=tenant, strategy_id=strategy_id, webhook_id="hook")
    if is_own:
        webhooks.do(command)
    else:
        with pytest.raises(Refused) as refused:
            webhooks.do(command)
        assert refused.value.status == 404
    assert ("hook" in webhooks.book.webhooks_by_id) is not is_own


def test_an_unknown_webhook_is_not_removed(webhooks: Desk) -> None:
    with pytest.raises(Refused):
        webhooks.do(RemoveWebhook(tenant="t", strategy_id="S", webhook_id="other"))
