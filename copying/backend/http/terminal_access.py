"""Who may ask a terminal, and what it costs: the account is the caller's and runs, and its credits are spent (3.10)."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.credits import CreditScope
from copying.backend.http.errors import error_response
from copying.backend.http.options import Service, service
from copying.backend.http.parameters import path_id
from copying.backend.state.book import Book
from copying.backend.state.trading_accounts import own_accounts, running_account
from copying.contract import wire


class TooManyCredits(Exception):
    """What is asked for costs more than there is. wait_s: seconds until there will be enough."""

    def __init__(self, cost: float, wait_s: float, scope: CreditScope) -> None:
        super().__init__(scope.kind)
        self.cost = cost
        self.wait_s = wait_s
        self.scope = scope

    @property
    def available(self) -> int:
        """What is left to be spent; less than nothing where deals that were found are still to be paid for."""
        return math.floor(self.cost - self.wait_s * self.scope.total / self.scope.seconds)


async def on_too_many_credits(request: Request, error: Exception) -> Response:
    """429 with the time at which there will be enough (account APIs, 3.10; contract, 1.7)."""
    if not isinstance(error, TooManyCredits):
        raise error
    retry_at = datetime.now(UTC) + timedelta(seconds=error.wait_s, milliseconds=1)
    metadata = {
        "periodInSeconds": error.scope.seconds,
        "creditsAvailable": max(0, error.available),
        "creditsUsed": error.scope.total - error.available,
        "creditsRequired": error.cost,
        "recommendedRetryTime": wire.format_time(retry_at),
        "type": f"LIMIT_CREDITS_{error.scope.kind.removeprefix('per').upper()}",
    }
    text = "The credits are used up. Repeat this request at metadata.recommendedRetryTime or later."
    headers = {"retry-after": str(max(1, int(-(-error.wait_s // 1))))}
    return error_response(429, text, metadata=metadata, headers=headers)


def opened(request: Request, cost: float) -> tuple[Book, int]:
    """The book and the row of the caller's account, which runs; its credits are spent. Raises 404, 429."""
    here, tenant = service(request), request.scope["tenant"]
    book, account_id = here.core.book, path_id(request, "account_id", "Account")
    row = running_account(book, tenant, account_id)
    wait_s, scope = here.credits.take(tenant, account_id, cost, running(here, tenant), time.monotonic())
    if scope is not None:
        raise TooManyCredits(cost, wait_s, scope)
    return book, row


def running(here: Service, tenant: str) -> int:
    """How many accounts of a tenant run."""
    accounts = own_accounts(here.core.book, tenant)
    return here.credits.running(tenant, time.monotonic(), lambda: sum(meta.state == "DEPLOYED" for _, meta in accounts))
