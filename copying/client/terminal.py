"""The terminal of a trading account: what it is worth, holds and did, prices, trades (account APIs, 3; A1 to A14).

Its host is that of the account's region: `region` where the caller knows it (the list of accounts says it), else it is
looked up and remembered for ten minutes. A trade is sent once, to one host: whether one without an answer was carried
out is to be seen by its `clientId` among the positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack, overload

from ..contract import wire
from ..contract.accounts import TradeRequest, TradeResult
from ..contract.hosts import TERMINAL
from ..contract.terminal import (
    CalculatedMargin,
    CreditUsage,
    MarginRequest,
    ServerTime,
    SymbolPrice,
    SymbolSpecification,
    TerminalDeal,
    TerminalInformation,
    TerminalOrder,
    TerminalPosition,
)
from .addresses import Options
from .errors import NotConnected, NotFound
from .exchange import PAGE_LIMIT, Exchange, distinct_pages, path_of

_ACCOUNT = "/users/current/accounts/{account_id}"


T = TypeVar("T")
R = TypeVar("R", TerminalDeal, TerminalOrder)


class Where(TypedDict, total=False):
    """region: where the account runs; looked up without it."""

    region: str


class AccountOptions(Options, total=False):
    """What a call at an account's host can be told."""

    region: str


class TerminalCalls(Exchange):
    """One account's terminal. Money is Decimal, in account currency."""

    @overload
    def _account_call(
        self, api: str, method: str, account_id: str, path: str, *, type: None = None, **options: Unpack[AccountOptions]
    ) -> None: ...
    @overload
    def _account_call(
        self, api: str, method: str, account_id: str, path: str, *, type: type[T], **options: Unpack[AccountOptions]
    ) -> T: ...
    def _account_call(
        self, api: str, method: str, account_id: str, path: str, *, region: str = "", type: Any = None, **options: Any
    ) -> Any:
        """A call at the host of the account's region. One that is not there any more is looked up anew next time."""
        address = path_of(_ACCOUNT, account_id=account_id)
        where = region or self._regions.region_of(account_id, address)
        try:
            return self._call(
                method, address + path, type=type, host=self._regions.of_api(api, region=where), **options
            )
        except NotConnected:
            raise
        except NotFound:
            self._regions.forget_account(account_id)
            raise

    def _ask(self, account_id: str, path: str, of: type[T], *, region: str = "", **options: Unpack[Options]) -> T:
        return self._account_call(TERMINAL, "GET", account_id, path, type=of, region=region, **options)

    # --------------------------------------------------------------------------------------------------------- state

    def terminal_information(
        self, account_id: str, *, refresh: bool = False, **where: Unpack[Where]
    ) -> TerminalInformation:
        """A1. refresh: the terminal reads its state anew before it answers, which is slower."""
        return self._ask(account_id, "/account-information", TerminalInformation, params=_refreshed(refresh), **where)

    def terminal_positions(
        self, account_id: str, *, refresh: bool = False, **where: Unpack[Where]
    ) -> list[TerminalPosition]:
        """A2."""
        return self._ask(account_id, "/positions", list[TerminalPosition], params=_refreshed(refresh), **where)

    def terminal_position(self, account_id: str, position_id: str, **where: Unpack[Where]) -> TerminalPosition:
        """A3."""
        return self._ask(account_id, path_of("/positions/{id}", id=position_id), TerminalPosition, **where)

    def terminal_orders(self, account_id: str, *, refresh: bool = False, **where: Unpack[Where]) -> list[TerminalOrder]:
        """A4. Pending orders."""
        return self._ask(account_id, "/orders", list[TerminalOrder], params=_refreshed(refresh), **where)

    def terminal_order(self, account_id: str, order_id: str, **where: Unpack[Where]) -> TerminalOrder:
        """A4, of one."""
        return self._ask(account_id, path_of("/orders/{id}", id=order_id), TerminalOrder, **where)

    # ------------------------------------------------------------------------------------------------------- history

    def terminal_deals(
        self, account_id: str, start: datetime, end: datetime, *, page_size: int = PAGE_LIMIT, **where: Unpack[Where]
    ) -> Iterator[list[TerminalDeal]]:
        """A6. Deals from `start` until before `end`, page by page, each once."""
        return self._terminal_history(account_id, "deals", list[TerminalDeal], start, end, page_size, where)

    def terminal_history_orders(
        self, account_id: str, start: datetime, end: datetime, *, page_size: int = PAGE_LIMIT, **where: Unpack[Where]
    ) -> Iterator[list[TerminalOrder]]:
        """A5. Completed orders from `start` until before `end`, page by page, each once."""
        return self._terminal_history(account_id, "orders", list[TerminalOrder], start, end, page_size, where)

    def _terminal_history(
        self,
        account_id: str,
        what: str,
        of: type[list[R]],
        start: datetime,
        end: datetime,
        page_size: int,
        where: Where,
    ) -> Iterator[list[R]]:
        path = path_of(
            f"/history-{what}/time/{{start}}/{{end}}", start=wire.format_time(start), end=wire.format_time(end)
        )
        page_size = min(page_size, PAGE_LIMIT)

        def page_at(offset: int) -> list[R]:
            params = {"offset": offset, "limit": page_size}
            return self._ask(account_id, path, of, params=params, extended=True, **where)

        return distinct_pages(page_at, lambda record: str(record.id), page_size)

    def terminal_deals_of(
        self, account_id: str, *, ticket: str = "", position_id: str = "", **where: Unpack[Where]
    ) -> list[TerminalDeal]:
        """A6, of one ticket or one position."""
        return self._ask(account_id, "/history-deals" + _of(ticket, position_id), list[TerminalDeal], **where)

    def terminal_history_orders_of(
        self, account_id: str, *, ticket: str = "", position_id: str = "", **where: Unpack[Where]
    ) -> list[TerminalOrder]:
        """A5, of one ticket or one position."""
        return self._ask(account_id, "/history-orders" + _of(ticket, position_id), list[TerminalOrder], **where)

    # ------------------------------------------------------------------------------------------------------- symbols

    def terminal_symbols(self, account_id: str, **where: Unpack[Where]) -> list[str]:
        """A7."""
        return self._ask(account_id, "/symbols", list[str], extended=True, **where)

    def terminal_specification(self, account_id: str, symbol: str, **where: Unpack[Where]) -> SymbolSpecification:
        """A8. Has no tick value: that comes with the price."""
        path = path_of("/symbols/{symbol}/specification", symbol=symbol)
        return self._ask(account_id, path, SymbolSpecification, **where)

    def terminal_price(
        self, account_id: str, symbol: str, *, keep_subscription: bool = False, **where: Unpack[Where]
    ) -> SymbolPrice:
        """A9."""
        path = path_of("/symbols/{symbol}/current-price", symbol=symbol)
        return self._ask(account_id, path, SymbolPrice, params={"keepSubscription": keep_subscription}, **where)

    def calculated_margin(self, account_id: str, request: MarginRequest, **where: Unpack[Where]) -> CalculatedMargin:
        """A12."""
        options: Options = {"body": request, "is_read": True, "repeatable": True}
        return self._account_call(
            TERMINAL, "POST", account_id, "/calculate-margin", type=CalculatedMargin, **options, **where
        )

    def terminal_trade(
        self, account_id: str, request: TradeRequest, *, key: str = "", **where: Unpack[Where]
    ) -> TradeResult:
        """A11. Sent once: whether one without an answer was carried out is to be seen at the account.

        The answer may be a refusal, whose `numeric_code` is none of TRADE_SUCCESSES. key: by which our backend knows it
        again.
        """
        options: Options = {"body": request, "repeatable": False, "key": key or None}
        return self._account_call(TERMINAL, "POST", account_id, "/trade", type=TradeResult, **options, **where)

    def server_time(self, account_id: str, **where: Unpack[Where]) -> ServerTime:
        """A13. The broker's clock."""
        return self._ask(account_id, "/server-time", ServerTime, **where)

    def credits(self, account_id: str, **where: Unpack[Where]) -> CreditUsage:
        """A14. What may be asked, and what is left of it."""
        return self._ask(account_id, "/credits", CreditUsage, **where)


def _refreshed(refresh: bool) -> dict[str, bool]:
    return {"refreshTerminalState": True} if refresh else {}


def _of(ticket: str, position_id: str) -> str:
    if bool(ticket) == bool(position_id):
        raise TypeError("Either a ticket or a position, not both")
    return path_of("/ticket/{id}", id=ticket) if ticket else path_of("/position/{id}", id=position_id)
