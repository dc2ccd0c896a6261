"""Sending a request until there is an answer: hosts, time limits, repeating, waiting, and reading what comes back.

Repeated with growing, random pauses are only calls that may be sent twice (GET, PUT, PATCH, DELETE, and those that
say so). After 429 the pause lasts until the time that the backend named, never less. All pauses of one call together
stay within `wait_budget_s`, or the error is raised. A call that creates something is not even sent to another region
unless it certainly never left.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar, Unpack, overload

import httpx

from ..contract import wire
from .addresses import Options, Params, checked_address, path_of, query_of
from .answers import decode_answer
from .errors import BackendFailed, ClientError, NotConnected, NotFound, RateLimited, Unreachable
from .patience import LEAST_S, current, is_used_up
from .reach import PrivateReach
from .reading import LARGEST_ANSWER
from .regions import DEFAULT_DOMAIN, Discovery, Regions
from .sending import Request, Sender
from .silence import TimedOut

T = TypeVar("T")

PAGE_LIMIT = 1000

__all__ = ["PAGE_LIMIT", "Exchange", "TimedOut", "decode_answer", "distinct_pages", "path_of"]

_REPEATABLE = ("GET", "PUT", "PATCH", "DELETE")
_HELD_LONGER_S = 5  # what a backend may take beyond the hold that it was asked for


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Exchange:
    """The common part of all calls. Not for direct use: see Client.

    token: None for calls that need none. base_url: a fixed address, nothing is discovered; else the regions of
    `domain`. discovery: what other clients of the same token and domain know of them. timeout_s: ordinary calls;
    extended_timeout_s: lists, histories, logs and streams. retries: of calls that may be repeated, after pauses of
    min_delay_s doubling to max_delay_s. wait_budget_s: the longest that one call may pause in all. name: what messages
    call the backend instead of its address, which is for nobody else. largest_answer: bytes, unpacked. reach: which
    private addresses may be connected to; None: all, where the address is the program's own and nobody's who typed it.
    Raises Unauthorised for a token, and Unreachable for an address, that cannot be one.
    """

    def __init__(
        self,
        token: str | None,
        *,
        base_url: str | None = None,
        domain: str | None = None,
        discovery: Discovery | None = None,
        name: str = "",
        largest_answer: int = LARGEST_ANSWER,
        transport: httpx.BaseTransport | None = None,
        reach: PrivateReach | None = None,
        timeout_s: float = 10,
        extended_timeout_s: float = 70,
        connect_timeout_s: float = 10,
        retries: int = 3,
        min_delay_s: float = 1,
        max_delay_s: float = 30,
        wait_budget_s: float = 30,
        clock: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ):
        self._sender = Sender(
            token,
            name=name,
            largest_answer=largest_answer,
            connect_timeout_s=connect_timeout_s,
            min_delay_s=min_delay_s,
            clock=clock,
            transport=transport,
            reach=reach,
        )
        self._timeout_s, self._extended_timeout_s = timeout_s, extended_timeout_s
        self._retries, self._min_delay_s, self._max_delay_s = retries, min_delay_s, max_delay_s
        self._wait_budget_s = wait_budget_s
        self._clock, self._sleep, self._jitter = clock, sleep, jitter
        fixed = checked_address(base_url) if base_url else None
        self._regions = Regions(domain or DEFAULT_DOMAIN, fixed, self._fetch, clock, discovery or Discovery())
        self._pool: ThreadPoolExecutor | None = None
        # whether any call so far wrote, or may have: only without it "nothing was changed" is true
        self.may_have_written = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._regions.base_url or self._regions.domain}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._sender.close()

    # -------------------------------------------------------------------------------------------- sending and repeating

    @overload
    def _call(self, method: str, path: str, *, type: None = None, **options: Unpack[Options]) -> None: ...
    @overload
    def _call(self, method: str, path: str, *, type: type[T], **options: Unpack[Options]) -> T: ...
    def _call(
        self,
        method: str,
        path: str,
        *,
        type: Any = None,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        extended: bool = False,
        timeout_s: float | None = None,
        repeatable: bool | None = None,
        host: str | None = None,
        is_held: bool = False,
        key: str | None = None,
        is_read: bool = False,
        is_polled: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> Any:
        """The decoded answer; type None expects no body, bytes gives it as it is. host: instead of the regions.

        key: of a POST, by which the backend knows it again, so it may be repeated; None: one is sent all the same, for
        whatever repeats requests on the way, but not every backend looks at it.
        is_read: a POST that changes nothing. is_polled, secrets: as of Request.
        """
        request = Request(
            method=method,
            target=path + query_of(params),
            type=type,
            content=None if body is None else wire.encode(body),
            headers={**({"idempotency-key": key or _new_key()} if method == "POST" else {}), **(headers or {})},
            timeout_s=timeout_s or (self._extended_timeout_s if extended else self._timeout_s),
            is_repeatable=method in _REPEATABLE or key is not None if repeatable is None else repeatable,
            is_held=is_held,
            is_polled=is_polled,
            secrets=secrets,
        )
        is_write = method != "GET" and not is_read
        try:
            answer = self._repeat(request, host, is_keyed=key is not None)
        except ClientError as error:
            self.may_have_written = self.may_have_written or (is_write and error.may_be_done)
            raise
        self.may_have_written = self.may_have_written or is_write
        return answer

    def _repeat(self, request: Request, host: str | None, *, is_keyed: bool) -> Any:
        """The answer of the first attempt that has one, or the last one's error, which keeps the doubt of all."""
        attempt, waited_s, may_be_done, in_doubt = 0, 0.0, False, False
        failure: ClientError
        while True:
            try:
                return self._try_hosts(request, host)
            except RateLimited as error:
                in_doubt = error.may_be_done = error.may_be_done or in_doubt
                failure, pause_s = error, (error.retry_at - self._clock()).total_seconds()
                if pause_s <= 0:  # a time that has passed must not make us hammer
                    pause_s, attempt = self._pause_s(attempt), attempt + 1
            except NotFound as error:
                is_gone = may_be_done and not is_keyed and request.method in ("DELETE", "POST")
                if is_gone and request.type is None and not isinstance(error, NotConnected):
                    return None  # an earlier attempt removed it and only its answer was lost
                error.may_be_done = error.may_be_done or in_doubt
                raise
            except ClientError as error:
                in_doubt = error.may_be_done = error.may_be_done or in_doubt
                if not (error.transient and request.is_repeatable) or (request.is_held and isinstance(error, TimedOut)):
                    raise
                if is_used_up():
                    raise
                failure, pause_s, attempt = error, self._pause_s(attempt), attempt + 1
                may_be_done = may_be_done or not isinstance(error, Unreachable) or error.was_sent
            if attempt > self._retries or waited_s + pause_s > self._wait_budget_s:
                raise failure
            waited_s += pause_s
            self._pause(pause_s)

    def _pause_s(self, attempt: int) -> float:
        """Between half and all of the doubled delay, so that many clients do not come back together."""
        longest_s = min(float(2**attempt) * self._min_delay_s, self._max_delay_s)
        return longest_s * (0.5 + self._jitter() / 2)

    def _pause(self, pause_s: float) -> None:
        until = self._clock() + timedelta(seconds=pause_s)
        while (left_s := (until - self._clock()).total_seconds()) > 0:
            self._sleep(left_s)

    def _try_hosts(self, request: Request, host: str | None) -> Any:
        """One attempt, on the next region where the one before fails (contract, 1.2 and 1.6)."""
        in_doubt = False
        while True:
            try:
                return self._send(request, host or self._regions.current())
            except ClientError as error:
                never_left = isinstance(error, Unreachable) and not error.was_sent
                in_doubt = error.may_be_done = error.may_be_done or in_doubt
                if not isinstance(error, (Unreachable, BackendFailed)):
                    raise
                if host or (request.is_held and isinstance(error, TimedOut)):
                    raise
                if not (request.is_repeatable or never_left) or not self._regions.next():
                    raise

    def _fetch(self, host: str, path: str, type: Any) -> Any:
        return self._send(Request(method="GET", target=path, type=type, timeout_s=self._timeout_s), host)

    def _send(self, request: Request, host: str) -> Any:
        """One attempt at one host, within the budget of the page that it is for."""
        budget, began_at = current(), time.monotonic()
        if budget is None:
            return self._sender.send(request, host, request.timeout_s)
        if budget.left_s < LEAST_S:
            where = self._sender.shown(host + request.target)
            raise Unreachable(f"The backend {where} takes too long to answer.", was_sent=False)
        try:
            # a simulation or a stream has a limit of its own; what is left is for the ordinary calls
            is_ordinary = request.timeout_s <= self._timeout_s
            return self._sender.send(
                request, host, min(request.timeout_s, budget.left_s) if is_ordinary else request.timeout_s
            )
        except Unreachable as error:
            budget.left_s = 0 if isinstance(error, TimedOut) and not request.is_held else budget.left_s
            raise
        finally:
            budget.left_s -= time.monotonic() - began_at

    # ------------------------------------------------------------------------------------------ several hosts, pages

    @overload
    def _call_all(
        self, hosts: list[str], method: str, path: str, *, type: None = None, **options: Unpack[Options]
    ) -> None: ...
    @overload
    def _call_all(
        self, hosts: list[str], method: str, path: str, *, type: type[T], **options: Unpack[Options]
    ) -> T: ...
    def _call_all(self, hosts: list[str], method: str, path: str, **options: Any) -> Any:
        """The first success of the same call at every host; the error of the last when all fail."""

        def call(host: str) -> Any:
            return self._call(method, path, host=host, **options)

        if len(hosts) == 1:
            return call(hosts[0])
        self._pool = self._pool or ThreadPoolExecutor(max_workers=8, thread_name_prefix="copying-client")
        pending: set[Future[Any]] = {self._pool.submit(call, host) for host in hosts}
        failure: BaseException = Unreachable("The backend has no address for this call.", was_sent=False)
        in_doubt = False
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is None:
                    for late in pending:
                        late.cancel()
                    return future.result()
                failure = error
                if isinstance(error, ClientError):
                    in_doubt = error.may_be_done = error.may_be_done or in_doubt
        raise failure

    def _pages(
        self,
        path: str,
        type: type[list[T]],
        params: Params,
        page_size: int,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[list[T]]:
        """Pages by offset until one is not full."""
        offset, page_size = 0, min(page_size, PAGE_LIMIT)
        while True:
            asked: Params = {**params, "offset": offset, "limit": page_size}
            page = self._call("GET", path, type=type, params=asked, extended=True, headers=headers)
            if page:
                yield page
            if len(page) < page_size:
                return
            offset += len(page)

    def _stream(
        self,
        path: str,
        type: type[list[T]],
        params: Params,
        hold_s: float | None,
        *,
        host: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[T]:
        """One poll. hold_s: ask our backend to answer by then; one that holds longer is left with nothing new."""
        if hold_s is None:
            return self._call("GET", path, type=type, params=params, extended=True, host=host, headers=headers)
        asked = {**params, "holdInSeconds": round(hold_s)}
        limit_s = hold_s + _HELD_LONGER_S
        try:
            return self._call(
                "GET", path, type=type, params=asked, timeout_s=limit_s, is_held=True, host=host, headers=headers
            )
        except TimedOut:
            return []


def _new_key() -> str:
    """A key for a request that must be done once."""
    return uuid.uuid4().hex


def distinct_pages(
    page_at: Callable[[int], list[T]], identity: Callable[[T], object], page_size: int
) -> Iterator[list[T]]:
    """Pages by offset until one is not full or has nothing new; each record once: pages of a moving list overlap."""
    seen: set[object] = set()
    offset = 0
    while True:
        page = page_at(offset)
        fresh = {identity(record): record for record in page if identity(record) not in seen}
        if fresh:
            yield list(fresh.values())
        if len(page) < page_size or not fresh:
            return
        seen.update(fresh)
        offset += len(page)
