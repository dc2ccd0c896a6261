"""A stand-in for the vendor's account APIs: accounts, balances and positions within credits, and faults by account.

It counts credits by its own rule (a sliding window, not the client's bucket) and refuses what passes them with 429 and
`recommendedRetryTime`, as the reference says (account APIs, 3.10). Behind a fixed address; the clock is the caller's.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx

LIST = "/mt-provisioning-api-v1/users/current/accounts"
ACCOUNT = re.compile(rf"{LIST}/([^/]+)")
TERMINAL = re.compile(r"/mt-client-api-v1/users/current/accounts/([^/]+)/([a-z-]+)")
COST = {"account-information": 50, "positions": 50, "credits": 1}
WINDOWS = ((1, 2_000), (60, 18_000))
DOMAIN = "vendor.example"
DISCOVERY: dict[str, object] = {
    "/mt-provisioning-api-v1/users/current/regions": ["local"],
    "/mt-provisioning-api-v1/users/current/servers/mt-client-api": {"domain": DOMAIN, "hostname": "mt-client-api-v1"},
}
Answer = tuple[int, object]


@dataclass
class AccountApi:
    """accounts: id -> currency; amounts: id -> balance. faults: id -> status, for its terminal; refused: of all.

    positions: that each account holds. requests, spent: what came, and what it cost.
    """

    accounts: dict[str, str]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    amounts: dict[str, str] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    limited_until: datetime | None = None
    slow_s: float = 0.0
    positions: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    spent: int = 0
    limited: int = 0
    _spent: deque[tuple[datetime, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, target: str) -> Answer:
        """Status and body of a GET."""
        path, _, query = target.partition("?")
        with self._lock:
            self.requests += 1
            if path in DISCOVERY:
                return 200, DISCOVERY[path]
            if path == LIST:
                params = {key: int(values[0]) for key, values in parse_qs(query).items() if values[0].isdigit()}
                first = params.get("offset", 0)
                ids = sorted(self.accounts)[first : first + params.get("limit", 1000)]
                return 200, [self.document(account_id) for account_id in ids]
            if match := ACCOUNT.fullmatch(path):
                known = match[1] in self.accounts
                return (200, self.document(match[1])) if known else _refusal(404, "NotFoundError")
            match = TERMINAL.fullmatch(path)
            if match is None or match[2] not in COST:
                return _refusal(404, "NotFoundError")
        if self.slow_s:
            time.sleep(self.slow_s)
        with self._lock:
            return self._terminal(match[1], match[2])

    def document(self, account_id: str) -> dict:
        """An account as the list has it."""
        document = {"_id": account_id, "name": account_id, "login": "1", "server": "Broker-Demo", "version": 5}
        return document | {
            "state": "DEPLOYED",
            "connectionStatus": "CONNECTED",
            "region": "local",
            "copyFactoryRoles": ["SUBSCRIBER"],
        }

    def _terminal(self, account_id: str, what: str) -> Answer:
        now = self.clock()
        retry_at = self._limit(now, COST[what])
        if retry_at is not None:
            self.limited += 1
            metadata = {"recommendedRetryTime": retry_at.isoformat().replace("+00:00", "Z")}
            return 429, {"id": 1, "error": "TooManyRequestsError", "message": "Too many.", "metadata": metadata}
        self.asked[account_id] += 1
        if self.refused:
            return _refusal(self.refused, "ForbiddenError")
        if account_id not in self.accounts:
            return _refusal(404, "NotFoundError")
        if account_id in self.faults:
            return _refusal(self.faults[account_id], "InternalError")
        if what == "credits":
            names = {1: "1s", 60: "1m"}
            told = [{"period": names[seconds], "total": total, "available": total} for seconds, total in WINDOWS]
            return 200, {"perUser": [], "perAccount": [], "perServer": told}
        if what == "positions":
            return 200, [_position(account_id, number) for number in range(self.positions)]
        amount = float(self.amounts.get(account_id, "100.25"))
        return 200, {
            "broker": "Broker Ltd",
            "currency": self.accounts[account_id],
            "server": "Broker-Demo",
            "balance": amount,
            "equity": amount,
            "margin": 0,
            "freeMargin": amount,
            "leverage": 100,
            "tradeAllowed": True,
            "marginMode": "ACCOUNT_MARGIN_MODE_RETAIL_HEDGING",
            "name": account_id,
            "login": 1,
            "credit": 0,
        }

    def _limit(self, now: datetime, cost: int) -> datetime | None:
        """When a request that cannot be sent now may be tried again; None: it counts as sent."""
        if self.limited_until is not None and now < self.limited_until:
            return self.limited_until
        while self._spent and now - self._spent[0][0] >= timedelta(seconds=60):
            self._spent.popleft()
        for seconds, total in WINDOWS:
            used = 0
            for moment, credits in reversed(self._spent):
                if now - moment >= timedelta(seconds=seconds):
                    break
                used += credits
            if used + cost > total:
                return now + timedelta(seconds=seconds)
        self._spent.append((now, cost))
        self.spent += cost
        return None

    def transport(self) -> httpx.MockTransport:
        """For a client without a network."""

        def handle(request: httpx.Request) -> httpx.Response:
            # a host of its own, where the client follows the names of the vendor
            api = request.url.host.partition(".")[0]
            prefix = f"/{api}" if request.url.host.endswith(DOMAIN) else ""
            status, body = self.answer(prefix + request.url.raw_path.decode())
            return httpx.Response(status, json=body)

        return httpx.MockTransport(handle)


def _position(account_id: str, number: int) -> dict:
    return {
        "id": f"{account_id[1:]}{number}",
        "type": "POSITION_TYPE_BUY",
        "symbol": "EURUSD",
        "magic": 0,
        "time": "2026-03-01T00:00:00.000Z",
        "brokerTime": "2026-03-01 02:00:00.000",
        "updateTime": "2026-03-01T00:00:00.000Z",
        "openPrice": 1.1,
        "currentPrice": 1.2,
        "currentTickValue": 1,
        "volume": 0.1,
        "swap": 0,
        "commission": 0,
        "profit": 1.5,
        "unrealizedProfit": 1.5,
        "realizedProfit": 0,
        "reason": "POSITION_REASON_CLIENT",
    }


def _refusal(status: int, error: str) -> Answer:
    return status, {"id": 1, "error": error, "message": "No."}


class Served:
    """The stand-in over real HTTP on loopback; use it as a context manager."""

    def __init__(self, api: AccountApi) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Served:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(api: AccountApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            status, body = api.answer(self.path)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = _serve

        def log_message(self, *_) -> None:
            """Nothing is printed."""

    return Handler
