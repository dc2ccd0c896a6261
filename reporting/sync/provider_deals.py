"""Trades of providers by the deals of their accounts, where the backend keeps its decisions to itself.

A trade that nobody copied and that was closed between two looks at the positions is known from here only, and so is the
volume of one. A few accounts are asked in a turn of the positions' sweep, each again after a while; what was asked for
until when stands in the cursor of the sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Min

from copying.client import Client, ClientError
from copying.client.credits import DEALS_READ
from copying.client.terminal import Where
from copying.contract.terminal import TerminalDeal
from reporting.models import Transaction
from reporting.reconstruction.collecting import collect_trades, keeps_decisions
from reporting.sync.keeping_positions import providing
from reporting.sync.states import Lease
from reporting.sync.turns import CONCERNS_ALL, claim_turn, regions_of
from strategies.versions import Described, DocumentVersion
from users.models import Connection

MOST_ASKED = 2  # accounts in a turn
ASKED_AGAIN_AFTER = timedelta(minutes=5)
REACH = timedelta(days=30)  # as far as a review looks back
OVERLAP = timedelta(minutes=10)  # deals may come late
MOST_DEALS = 5_000  # of an account in a turn; the rest of them comes with the next ones
COST = 3 * DEALS_READ  # of one account: what is found counts too
ASKED = "provider_deals"  # in the cursor: by account, [when it was asked, until when its deals are known, since when]
SIDES = {"DEAL_TYPE_BUY": "buy", "DEAL_TYPE_SELL": "sell"}


@dataclass(frozen=True, slots=True)
class ProviderDeals:
    """Deals of a provider's account until a moment."""

    account_id: str
    deals: list[TerminalDeal]
    until: datetime


def read_provider_deals(
    lease: Lease, *, client: Client, backend: Connection, now: datetime
) -> tuple[list[ProviderDeals], ClientError | None]:
    """Deals of a few accounts whose turn it is; and what concerns all of them, such as a limit."""
    if not keeps_decisions(backend.pk):
        return [], None
    asked: dict[str, list[str]] = lease.cursor.setdefault(ASKED, {})
    followed = dict(providing(backend).exclude(account_id="").values_list("backend_id", "account_id"))
    for account in [account for account in asked if account not in followed.values()]:
        del asked[account]
    new = {key: account for key, account in followed.items() if account not in asked}
    for account, since in _starts(backend, new, now).items() if new else ():
        asked[account] = ["", since.isoformat(), since.isoformat()]
    before = (now - ASKED_AGAIN_AFTER).isoformat()
    due = sorted(account for account in asked if asked[account][0] <= before)
    due = sorted(due, key=lambda account: asked[account][0])[:MOST_ASKED]
    due = due[: claim_turn(backend, lease.kind, len(due), cost=COST, now=now).count]
    regions, answers = regions_of(backend, due), []
    for account in due:
        until, since = map(datetime.fromisoformat, asked[account][1:])
        asked[account][0] = now.isoformat()
        start = max(until - OVERLAP, since)
        try:
            answers.append(_deals_of(client, regions, account, start, now))
        except CONCERNS_ALL as error:
            return answers, error
        except ClientError:
            continue  # the sweep of its positions says what is wrong with it
    return answers, None


def keep_provider_deals(lease: Lease, backend: Connection, answers: list[ProviderDeals], *, now: datetime) -> int:
    """Note the trades; in the transaction of the sweep. Returns how many are new or have their volume now."""
    strategies: dict[str, list[str]] = {}
    for strategy_id, account in providing(backend).exclude(account_id="").values_list("backend_id", "account_id"):
        strategies.setdefault(account, []).append(strategy_id)
    number = 0
    for answer in answers:
        lease.cursor[ASKED][answer.account_id][1] = answer.until.isoformat()
        trades = trades_of(answer.deals)
        for strategy_id in sorted(strategies.get(answer.account_id, ())):
            number += collect_trades(backend, strategy_id, trades, now=now)
    return number


def trades_of(deals: list[TerminalDeal]) -> list[dict[str, Any]]:
    """The positions that deals opened: side, symbol and stops of the first of each, and the volume of all."""
    trades: dict[str, dict[str, Any]] = {}
    for deal in sorted(deals, key=lambda deal: (deal.time, str(deal.id))):
        side = SIDES.get(deal.type)
        if side is None or deal.entry_type != "DEAL_ENTRY_IN" or not deal.position_id or not deal.symbol:
            continue
        fields = {
            "signal_id": str(deal.position_id)[:64],
            "symbol": deal.symbol[:64],
            "side": side,
            "lots": Decimal(0),
            "price": deal.price,
            "stop_loss": deal.stop_loss or None,
            "take_profit": deal.take_profit or None,
            "magic": deal.magic,
            "time": deal.time,
        }
        trade = trades.setdefault(str(deal.position_id), fields)
        if trade["side"] == side:
            trade["lots"] += abs(deal.volume or Decimal(0))
    return [trade for trade in trades.values() if trade["lots"]]


def _deals_of(
    client: Client, regions: Mapping[str, str], account_id: str, start: datetime, now: datetime
) -> ProviderDeals:
    where: Where = {"region": regions[account_id]} if account_id in regions else {}
    deals: list[TerminalDeal] = []
    for page in client.terminal_deals(account_id, start, now + timedelta(minutes=1), **where):
        deals += page
        if len(deals) >= MOST_DEALS:
            return ProviderDeals(account_id, deals, max(deal.time for deal in deals))
    return ProviderDeals(account_id, deals, now)


def _starts(backend: Connection, strategies: Mapping[str, str], now: datetime) -> dict[str, datetime]:
    """By account, since when a strategy was seen or known to be copied: what it traded before was no signal.

    strategies: the account of each.
    """
    seen = DocumentVersion.objects.filter(connection=backend, kind=Described.STRATEGY, backend_id__in=strategies)
    first = dict(seen.values_list("backend_id").annotate(first=Min("first_seen_at")).order_by())
    copied = Transaction.objects.filter(
        workspace_id=backend.workspace_id, connection=backend, strategy_id__in=strategies, time__gte=now - REACH
    )
    first_deals = dict(copied.values_list("strategy_id").annotate(first=Min("time")).order_by())
    starts: dict[str, datetime] = {}
    for strategy_id, account in strategies.items():
        moments = [since[strategy_id] for since in (first, first_deals) if strategy_id in since]
        start = max(min(moments, default=now), now - REACH)
        starts[account] = min(starts.get(account, start), start)
    return starts
