"""What our backend offers beyond the contract: accounts, snapshots, decisions, simulations, trades by hand.

The endpoints are in docs/copying.md. A backend without them answers 404: NotFound.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..contract.accounts import (
    AccountInformation,
    AccountLimits,
    AccountSnapshot,
    AccountUpdate,
    DecisionDocument,
    DecisionPage,
    DepositRequest,
    TradeRequest,
    TradeResult,
)
from ..contract.documents import OfferedStrategy, RawDocument
from .exchange import PAGE_LIMIT, Exchange, path_of

_ACCOUNT = "/users/current/accounts/{account_id}"


class AccountCalls(Exchange):
    """Accounts and decisions."""

    def account_information_page(
        self, *, after: str | None = None, limit: int = PAGE_LIMIT
    ) -> list[AccountInformation]:
        """One page of all accounts, by ascending id after `after`."""
        params = {"after": after, "limit": limit}
        path = "/users/current/account-information"
        return self._call("GET", path, type=list[AccountInformation], params=params, extended=True)

    def account_information(self, *, page_size: int = PAGE_LIMIT) -> Iterator[list[AccountInformation]]:
        """All accounts, page by page."""
        after = None
        while page := self.account_information_page(after=after, limit=page_size):
            yield page
            if len(page) < page_size:
                return
            after = page[-1].account_id

    def offered_strategies(self, *, page_size: int = PAGE_LIMIT) -> list[OfferedStrategy]:
        """Strategies and portfolios of others that the caller may copy, by ascending id."""
        offered: list[OfferedStrategy] = []
        after = None
        while True:
            params = {"after": after, "limit": page_size}
            page = self._call("GET", "/users/current/offered-strategies", type=list[OfferedStrategy], params=params)
            offered += page
            if len(page) < page_size:
                return offered
            after = page[-1].strategy_id

    def risk_limits_page(self, *, after: str | None = None, limit: int = PAGE_LIMIT) -> list[AccountLimits]:
        """One page of the accounts that have risk limits, by ascending id after `after`, with how far each is used."""
        params = {"after": after, "limit": limit}
        return self._call("GET", "/users/current/risk-limits", type=list[AccountLimits], params=params, extended=True)

    def account_snapshots_stream(
        self,
        *,
        previous_sequence_number: int | None = None,
        limit: int = PAGE_LIMIT,
        hold_s: float | None = None,
    ) -> list[AccountSnapshot]:
        """One poll: ascending sequence numbers above the given one (None: only what is new; 0: from the start)."""
        params = {"previousSequenceNumber": previous_sequence_number, "limit": limit}
        return self._stream("/users/current/account-snapshots/stream", list[AccountSnapshot], params, hold_s)

    def decisions_page(
        self,
        *,
        strategy_id: str | None = None,
        subscriber_id: str | None = None,
        signal_id: str | None = None,
        reason: str | None = None,
        outcome: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        before: str | int | None = None,
        after: str | int | None = None,
        limit: int = 100,
    ) -> DecisionPage:
        """Why signals were copied or not, newest first. before: `next` of the page before.

        after: oldest first instead, behind the `next` of the page before ("0.0": from the beginning).
        """
        params = {
            "strategyId": strategy_id,
            "subscriberId": subscriber_id,
            "signalId": signal_id,
            "reason": reason,
            "outcome": outcome,
            "startTime": start,
            "endTime": end,
            "before": before,
            "after": after,
            "limit": limit,
        }
        return self._call("GET", "/users/current/decisions", type=DecisionPage, params=params, extended=True)

    def decisions(self, *, page_size: int = PAGE_LIMIT, **filters: Any) -> Iterator[list[DecisionDocument]]:
        """All decisions that pass the filters of `decisions_page`, page by page."""
        before = None
        while True:
            page = self.decisions_page(before=before, limit=page_size, **filters)
            if page.items:
                yield page.items
            if page.next is None:
                return
            before = page.next

    def simulate(self, body: RawDocument) -> RawDocument:
        """What a change would have done to the signals of a period. Changes nothing; long, so it is not repeated."""
        return self._call(
            "POST", "/users/current/simulations", type=RawDocument, body=body, extended=True, is_read=True
        )

    def immediate_effects(self, changes: RawDocument) -> RawDocument:
        """What saving documents (as `simulate` takes them) would do at once: limits that fire, positions that close."""
        body = {"changes": changes}
        return self._call("POST", "/users/current/immediate-effects", type=RawDocument, body=body, is_read=True)

    def account(self, account_id: str) -> AccountInformation:
        """One account."""
        path = path_of(_ACCOUNT + "/account-information", account_id=account_id)
        return self._call("GET", path, type=AccountInformation)

    def account_positions(self, account_id: str) -> list[RawDocument]:
        """Open positions of the account."""
        return self._call("GET", path_of(_ACCOUNT + "/positions", account_id=account_id), type=list[RawDocument])

    def account_orders(self, account_id: str) -> list[RawDocument]:
        """Pending orders of the account."""
        return self._call("GET", path_of(_ACCOUNT + "/orders", account_id=account_id), type=list[RawDocument])

    def trade(self, account_id: str, request: TradeRequest, *, key: str | None = None) -> TradeResult:
        """A trade by hand. Sent again only with a key."""
        path = path_of(_ACCOUNT + "/trade", account_id=account_id)
        return self._call("POST", path, type=TradeResult, body=request, key=key)

    def put_account(self, account_id: str, account: AccountUpdate) -> None:
        """Open a paper account or change it."""
        self._call("PUT", path_of(_ACCOUNT, account_id=account_id), body=account)

    def deposit(self, account_id: str, amount: float, *, comment: str | None = None, key: str | None = None) -> None:
        """Money in (positive) or out (negative), in account currency. Sent again only with a key."""
        body = DepositRequest(amount=amount, comment=comment)
        path = path_of(_ACCOUNT + "/deposit", account_id=account_id)
        self._call("POST", path, body=body, key=key)
