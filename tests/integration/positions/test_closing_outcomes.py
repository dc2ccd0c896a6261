"""What the answer of a terminal means for a position that was to be closed, for each kind of answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from copying.client import BackendFailed, Forbidden, NotConnected, NotFound, RateLimited
from copying.client.credits import DOCUMENTED, STATE_READ, Pool
from copying.client.errors import Unreachable
from copying.contract.accounts import TradeResult
from reporting.closing_positions import NOT_TRADED, close_position
from reporting.models import CreditPool, OpenPosition
from reporting.sync.turns import claim_turn
from tests.integration.positions.test_access_to_positions import book, open_position  # noqa: F401
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
SILENCE = Unreachable("No answer.", was_sent=True, transient=True)


class Terminal:
    """A client that answers one thing. left: what the account has open afterwards; None: it cannot be asked."""

    def __init__(self, answer, left=None):
        self.answer, self.left, self.sent = answer, left, []

    def terminal_trade(self, account_id, request):
        self.sent.append((account_id, request.action_type, request.position_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def terminal_positions(self, account_id):
        if self.left is None:
            raise SILENCE
        return self.left


def result(code, text="TRADE_RETCODE_DONE", message=""):
    return TradeResult(numeric_code=code, string_code=text, message=message)


@pytest.mark.parametrize(
    ("terminal", "code", "text", "stays", "action"),
    [
        (Terminal(result(10009)), "closed", "", False, "position closed"),
        (Terminal(result(0, "ERR_NO_ERROR")), "closed", "", False, "position closed"),
        (Terminal(result(10010)), "closed", "in part", True, "position closed"),
        (Terminal(result(10008)), "closed", "", True, "position closed"),
        (Terminal(result(10036, "TRADE_RETCODE_POSITION_CLOSED")), "gone", "", False, None),
        (
            Terminal(result(10018, "TRADE_RETCODE_MARKET_CLOSED", "The market is closed.")),
            "refused",
            "The market is closed.",
            True,
            "position closed: refused",
        ),
        (
            Terminal(result(10017, "TRADE_RETCODE_TRADE_DISABLED")),
            "refused",
            "TRADE_RETCODE_TRADE_DISABLED",
            True,
            "position closed: refused",
        ),
        (
            Terminal(NotConnected("The account is not connected.")),
            "refused",
            "The account is not connected.",
            True,
            "position closed: refused",
        ),
        (Terminal(NotFound("No such call.")), "refused", NOT_TRADED, True, "position closed: refused"),
        (Terminal(Forbidden("Not for you.")), "refused", NOT_TRADED, True, "position closed: refused"),
        (
            Terminal(RateLimited("Slower.", timezone.now() + timedelta(hours=1))),
            "refused",
            "Slower.",
            True,
            "position closed: refused",
        ),
        (Terminal(SILENCE, left=[]), "closed", "", False, "position closed"),
        (Terminal(SILENCE), "unconfirmed", "No answer.", True, "position closed: not confirmed"),
        (Terminal(BackendFailed("It broke.", 500), left=[]), "closed", "", False, "position closed"),
    ],
)
def test_an_answer_is_told_as_it_is(book, alice, terminal, code, text, stays, action):  # noqa: F811
    outcome = close_position(book.copy, client=terminal, by=alice, now=timezone.now())
    assert (outcome.code, outcome.text) == (code, text)
    assert terminal.sent == [(book.hers.backend_id, "POSITION_CLOSE_ID", book.copy.position_id)]
    assert OpenPosition.objects.filter(pk=book.copy.pk).exists() is stays
    actions = list(AuditEntry.objects.filter(action__startswith="position closed").values_list("action", flat=True))
    assert actions == ([action] if action else [])


@pytest.mark.parametrize(("terminal", "cost"), [(Terminal(result(10009)), 10), (Terminal(SILENCE, left=[]), 60)])
def test_a_trade_is_counted_where_sweeps_take_credits_and_waits_for_nobody(book, alice, terminal, cost):  # noqa: F811
    """Nothing is left for the sweeps: the trade is sent all the same, and they go on so much later."""
    now, backend = timezone.now(), book.copy.connection
    assert claim_turn(backend, "accounts", 10_000, now=now).count > 10
    before = {row.scope: Pool.restored(row.state).shares for row in CreditPool.objects.all()}
    assert close_position(book.copy, client=terminal, by=alice, now=now).code == "closed"
    assert len(before) == 2, "of the token and of the server"
    for row in CreditPool.objects.all():
        ((name, share),) = Pool.restored(row.state).shares.items()
        whole = share.level + (Pool.restored(row.state).common or 0)
        assert whole == pytest.approx(DOCUMENTED.burst % STATE_READ - cost)
        assert name in before[row.scope]
