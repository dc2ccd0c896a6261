"""Configuration calls (contract, 2.1). Objects are plain dictionaries as the backend sent them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from ..contract.documents import CloseInstructions, Counted, NewId, RawDocument, Webhook, WebhookAddress, WebhookUpdate
from ..contract.settings import RemovalMode
from .exchange import PAGE_LIMIT, Exchange, path_of

_CONFIGURATION = "/users/current/configuration"
_STRATEGY = _CONFIGURATION + "/strategies/{strategy_id}"
_PORTFOLIO = _CONFIGURATION + "/portfolio-strategies/{portfolio_id}"
_SUBSCRIBER = _CONFIGURATION + "/subscribers/{subscriber_id}"

Written = msgspec.Struct | RawDocument


def _instructions(mode: RemovalMode | None, remove_after: datetime | None) -> CloseInstructions | None:
    return CloseInstructions(mode=mode, remove_after=remove_after) if mode or remove_after else None


class ConfigurationCalls(Exchange):
    """C1 to C19. `…s` iterates over all, `…s_page` is one page by offset, `…_counted` one with a count."""

    def _all(self, what: str, include_removed: bool, page_size: int, classic: bool) -> Iterator[RawDocument]:
        seen: set[str | None] = set()
        for page in self._object_pages(what, include_removed, page_size, classic):
            for document in page:
                if document.get("_id") not in seen:  # one removed meanwhile moves the rest across pages
                    seen.add(document.get("_id"))
                    yield document

    def _object_pages(
        self, what: str, include_removed: bool, page_size: int, classic: bool
    ) -> Iterator[list[RawDocument]]:
        if not classic:
            params = {"includeRemoved": include_removed}
            headers = {"api-version": "1"}
            path = f"{_CONFIGURATION}/{what}"
            yield from self._pages(path, list[RawDocument], params, page_size, headers=headers)
            return
        offset, count = 0, 1
        while offset < count:
            page = self._counted(what, include_removed, offset, page_size)
            if not page.items:
                return
            yield page.items
            offset, count = offset + len(page.items), page.count

    def _page(self, what: str, include_removed: bool, offset: int, limit: int) -> list[RawDocument]:
        params = {"includeRemoved": include_removed, "offset": offset, "limit": limit}
        path = f"{_CONFIGURATION}/{what}"
        return self._call(
            "GET", path, type=list[RawDocument], params=params, headers={"api-version": "1"}, extended=True
        )

    def _counted(self, what: str, include_removed: bool, offset: int, limit: int) -> Counted[RawDocument]:
        params = {"includeRemoved": include_removed, "offset": offset, "limit": limit}
        path = f"{_CONFIGURATION}/{what}"
        return self._call(
            "GET", path, type=Counted[RawDocument], params=params, headers={"api-version": "2"}, extended=True
        )

    # -------------------------------------------------------------------------------------------------- strategies

    def unused_strategy_id(self) -> str:
        """C1: a free id for a strategy or portfolio; our backend keeps it for the caller."""
        return self._call("GET", f"{_CONFIGURATION}/unused-strategy-id", type=NewId).id

    def strategies(
        self, *, include_removed: bool = False, page_size: int = PAGE_LIMIT, classic: bool = False
    ) -> Iterator[RawDocument]:
        """C2, all of them."""
        return self._all("strategies", include_removed, page_size, classic)

    def strategies_page(
        self, *, offset: int = 0, limit: int = PAGE_LIMIT, include_removed: bool = False
    ) -> list[RawDocument]:
        """C2, version 1."""
        return self._page("strategies", include_removed, offset, limit)

    def strategy(self, strategy_id: str) -> RawDocument:
        """C3."""
        return self._call("GET", path_of(_STRATEGY, strategy_id=strategy_id), type=RawDocument)

    def put_strategy(self, strategy_id: str, document: Written) -> None:
        """C4: create or replace as a whole."""
        self._call("PUT", path_of(_STRATEGY, strategy_id=strategy_id), body=document)

    def remove_strategy(
        self, strategy_id: str, *, mode: RemovalMode | None = None, remove_after: datetime | None = None
    ) -> None:
        """C5; without a mode positions are closed immediately."""
        self._call("DELETE", path_of(_STRATEGY, strategy_id=strategy_id), body=_instructions(mode, remove_after))

    # -------------------------------------------------------------------------------------------------- portfolios

    def portfolios(
        self, *, include_removed: bool = False, page_size: int = PAGE_LIMIT, classic: bool = False
    ) -> Iterator[RawDocument]:
        """C6, all of them."""
        return self._all("portfolio-strategies", include_removed, page_size, classic)

    def portfolios_page(
        self, *, offset: int = 0, limit: int = PAGE_LIMIT, include_removed: bool = False
    ) -> list[RawDocument]:
        """C6, version 1."""
        return self._page("portfolio-strategies", include_removed, offset, limit)

    def portfolio(self, portfolio_id: str) -> RawDocument:
        """C7."""
        return self._call("GET", path_of(_PORTFOLIO, portfolio_id=portfolio_id), type=RawDocument)

    def put_portfolio(self, portfolio_id: str, document: Written) -> None:
        """C8: create or replace as a whole."""
        self._call("PUT", path_of(_PORTFOLIO, portfolio_id=portfolio_id), body=document)

    def remove_portfolio(
        self, portfolio_id: str, *, mode: RemovalMode | None = None, remove_after: datetime | None = None
    ) -> None:
        """C9."""
        self._call("DELETE", path_of(_PORTFOLIO, portfolio_id=portfolio_id), body=_instructions(mode, remove_after))

    def remove_portfolio_member(
        self,
        portfolio_id: str,
        strategy_id: str,
        *,
        mode: RemovalMode | None = None,
        remove_after: datetime | None = None,
    ) -> None:
        """C10."""
        path = path_of(_PORTFOLIO + "/members/{strategy_id}", portfolio_id=portfolio_id, strategy_id=strategy_id)
        self._call("DELETE", path, body=_instructions(mode, remove_after))

    # ------------------------------------------------------------------------------------------------- subscribers

    def subscribers(
        self, *, include_removed: bool = False, page_size: int = PAGE_LIMIT, classic: bool = False
    ) -> Iterator[RawDocument]:
        """C11, all of them."""
        return self._all("subscribers", include_removed, page_size, classic)

    def subscribers_page(
        self, *, offset: int = 0, limit: int = PAGE_LIMIT, include_removed: bool = False
    ) -> list[RawDocument]:
        """C11, version 1."""
        return self._page("subscribers", include_removed, offset, limit)

    def subscriber(self, subscriber_id: str) -> RawDocument:
        """C12."""
        return self._call("GET", path_of(_SUBSCRIBER, subscriber_id=subscriber_id), type=RawDocument)

    def put_subscriber(self, subscriber_id: str, document: Written) -> None:
        """C13: create or replace as a whole; the id is the trading account's."""
        self._call("PUT", path_of(_SUBSCRIBER, subscriber_id=subscriber_id), body=document)

    def remove_subscriber(
        self, subscriber_id: str, *, mode: RemovalMode | None = None, remove_after: datetime | None = None
    ) -> None:
        """C14."""
        self._call("DELETE", path_of(_SUBSCRIBER, subscriber_id=subscriber_id), body=_instructions(mode, remove_after))

    def remove_subscription(self, subscriber_id: str, strategy_id: str, *, mode: RemovalMode | None = None) -> None:
        """C15; a time is ignored here by the contract, so there is none."""
        template = _SUBSCRIBER + "/subscriptions/{strategy_id}"
        path = path_of(template, subscriber_id=subscriber_id, strategy_id=strategy_id)
        self._call("DELETE", path, body=_instructions(mode, None))

    # ---------------------------------------------------------------------------------------------------- webhooks

    def webhooks(self, strategy_id: str, *, page_size: int = PAGE_LIMIT) -> Iterator[Webhook]:
        """C16, all of them."""
        path = path_of(_STRATEGY + "/webhooks", strategy_id=strategy_id)
        for page in self._pages(path, list[Webhook], {"paginationStyle": "infiniteScroll"}, page_size):
            yield from page

    def webhooks_counted(self, strategy_id: str, *, offset: int = 0, limit: int = PAGE_LIMIT) -> Counted[Webhook]:
        """C16, classic."""
        path = path_of(_STRATEGY + "/webhooks", strategy_id=strategy_id)
        params = {"paginationStyle": "classic", "offset": offset, "limit": limit}
        return self._call("GET", path, type=Counted[Webhook], params=params, extended=True)

    def create_webhook(self, strategy_id: str, webhook: WebhookUpdate | RawDocument | None = None) -> WebhookAddress:
        """C17. Never sent twice: each time makes another."""
        path = path_of(_STRATEGY + "/webhooks", strategy_id=strategy_id)
        return self._call("POST", path, type=WebhookAddress, body=webhook or {})

    def update_webhook(self, strategy_id: str, webhook_id: str, webhook: WebhookUpdate | RawDocument) -> None:
        """C18."""
        path = path_of(_STRATEGY + "/webhooks/{webhook_id}", strategy_id=strategy_id, webhook_id=webhook_id)
        self._call("PATCH", path, body=webhook)

    def remove_webhook(self, strategy_id: str, webhook_id: str) -> None:
        """C19."""
        path = path_of(_STRATEGY + "/webhooks/{webhook_id}", strategy_id=strategy_id, webhook_id=webhook_id)
        self._call("DELETE", path)
