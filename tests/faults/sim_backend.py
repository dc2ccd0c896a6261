"""A small backend over real HTTP that holds a known history and misbehaves by plan.

Serves what the sync reads: lists, both histories, logs, stopouts, balances, equity. A plan is a function of the number
of the request, its path and its parameters that names a fault or None; plans made by `sometimes` follow a seed.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Plan = Callable[[int, str, dict], str | None]
START = datetime(2025, 1, 1, tzinfo=UTC)
PROVIDED, SUBSCRIBED = "/users/current/provided-transactions", "/users/current/subscription-transactions"
CONFIGURATION = "/users/current/configuration/"


def no_faults(number: int, path: str, params: dict) -> None:
    """Everything works."""


def sometimes(fault: str, *, share: float, seed: int, only: str = "transactions", most: int = 1000) -> Plan:
    """`fault` in this share of the requests whose path contains `only`, at most so often."""
    draw, left = random.Random(seed), [most]

    def plan(number: int, path: str, params: dict) -> str | None:
        if only not in path or left[0] <= 0 or draw.random() >= share:
            return None
        left[0] -= 1
        return fault

    return plan


def at(*numbers: int, fault: str) -> Plan:
    """`fault` at the requests with these numbers, counted from 1."""
    return lambda number, path, params: fault if number in numbers else None


def iso(moment: datetime) -> str:
    """As on the wire."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def transaction(number: int, moment: datetime, *, seed: int = 0, **fields) -> dict:
    """One deal with figures drawn from its number."""
    draw = random.Random(seed * 1_000_003 + number)
    strategy, account = draw.randrange(5), draw.randrange(40)
    return {
        "id": f"{number}:{'close' if number % 2 else 'open'}",
        "type": "DEAL_TYPE_BUY" if draw.random() < 0.5 else "DEAL_TYPE_SELL",
        "time": iso(moment),
        "subscriberId": f"account-{account:02}",
        "subscriberUser": {"id": "u1", "name": "Dora", "strategies": [{"id": f"s{strategy}", "name": "Trend"}]},
        "providerUser": {"id": "u2", "name": "Alice", "strategies": [{"id": f"s{strategy}", "name": "Trend"}]},
        "demo": False,
        "strategy": {"id": f"s{strategy}", "name": "Trend"},
        "symbol": draw.choice(["EURUSD", "GBPUSD", "USDJPY"]),
        "positionId": str(number // 2),
        "slavePositionId": str(900_000 + number // 2),
        "improvement": round(draw.uniform(-1, 1), 5),
        "providerCommission": round(draw.uniform(0, 2), 5),
        "platformCommission": round(draw.uniform(0, 1), 5),
        "quantity": round(draw.uniform(-2, 2), 2),
        "lotPrice": round(draw.uniform(90_000, 120_000), 6),
        "tickPrice": round(draw.uniform(1, 2), 5),
        "amount": round(draw.uniform(-10_000, 10_000), 6),
        "commission": round(draw.uniform(-3, 0), 4),
        "swap": round(draw.uniform(-1, 0), 4),
        "profit": round(draw.uniform(-100, 110), 4),
        "metrics": {"tradeCopyingLatency": draw.randrange(50, 400), "tradeAlgorithmLatency": draw.randrange(1, 9)},
        **fields,
    }


def history(rows: int, *, per_moment: int = 3, step: timedelta = timedelta(seconds=90), seed: int = 0) -> list[dict]:
    """So many deals, `per_moment` in each millisecond that has any, from START on."""
    return [transaction(number, START + step * (number // per_moment), seed=seed) for number in range(rows)]


AHEAD = object()
"""The answer to a cursor that the data do not reach."""


class SimBackend:
    """The state and the server; use it as a context manager. Change the lists at will while it runs."""

    def __init__(self, transactions: list[dict] | None = None, *, plan: Plan = no_faults, port: int = 0):
        self.plan = plan
        self.lock = threading.RLock()
        self.provided: list[dict] = []
        self.subscribed: list[dict] = []
        self.strategies: list[dict] = []
        self.portfolios: list[dict] = []
        self.subscribers: list[dict] = []
        self.logs: dict[str, list[dict]] = {}
        self.stopouts: list[dict] = []
        self.accounts: list[dict] | None = []
        self.limits: list[dict] | None = []
        self.snapshots: list[dict] | None = []
        self.decisions: list[dict] | None = None
        self.health: tuple[int, dict] | None = None
        self.after_request: Callable[[int, str], None] | None = None
        self.requests: Counter = Counter()
        self.resets: list[str] = []
        self.retry_at: datetime | None = None
        self.early_calls = 0
        self.number = 0
        self.rows_never_change = False  # then every row is encoded once
        self._bodies: dict[int, bytes] = {}
        self.add(transactions or [])
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> SimBackend:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, transactions: list[dict], *, to: str = "provided") -> None:
        """Add deals to a history."""
        with self.lock:
            rows = getattr(self, to)
            rows.extend(transactions)
            rows.sort(key=lambda t: (t["time"], t["id"]), reverse=True)

    def answer(self, method: str, path: str, params: dict, body: bytes) -> tuple[int, bytes]:
        """Status and body of a request, faults included."""
        with self.lock:
            self.number += 1
            self.requests[path] += 1
            if self.retry_at is not None and datetime.now(UTC) < self.retry_at:
                self.early_calls += 1
            fault = self.plan(self.number, path, params)
            if fault == "429":
                self.retry_at = datetime.now(UTC) + timedelta(milliseconds=300)
                metadata = {"recommendedRetryTime": iso(self.retry_at + timedelta(milliseconds=1))}
                return 429, _error("TooManyRequestsError", "Slower, please", metadata=metadata)
            if fault == "500":
                return 500, _error("InternalError", "Something broke")
            if fault == "hang":
                time.sleep(1)
            found = self._find(method, path, params, fault, body)
        if self.after_request:
            self.after_request(self.number, path)
        if path == "/healthz" and self.health:
            return self.health[0], json.dumps(self.health[1]).encode()
        if found is None:
            return 404, _error("NotFoundError", "No such object")
        if found is AHEAD:
            details = [{"parameter": "previousSequenceNumber", "value": "", "message": "is above the highest"}]
            return 400, _error("ValidationError", "The data were restored", details=details)
        if found == "":
            return 204, b""
        return 200, _spoil(json.dumps(found).encode() if not isinstance(found, bytes) else found, fault)

    def _find(self, method: str, path: str, params: dict, fault: str | None, body: bytes):
        if path in (PROVIDED, SUBSCRIBED):
            return self._page(self.provided if path == PROVIDED else self.subscribed, params, fault)
        if method == "POST" and path.endswith("/reset"):
            return self._reset(path)
        if path.startswith(CONFIGURATION):
            name = path.removeprefix(CONFIGURATION)
            return self._configuration(name)(params) if method == "GET" else self._put(name, body)
        if path.endswith("/user-log"):
            lines = self.logs.get(path.split("/")[4], [])
            chosen = [line for line in lines if params["startTime"] <= line["time"] < params["endTime"]]
            return _cut(sorted(chosen, key=lambda line: line["time"], reverse=True), params)
        if path == "/users/current/stopouts/stream":
            return self._after(self.stopouts, params)
        if path == "/users/current/account-snapshots/stream" and self.snapshots is not None:
            return self._after(self.snapshots, params)
        if path == "/users/current/account-information" and self.accounts is not None:
            chosen = [a for a in self.accounts if a["accountId"] > params.get("after", "")]
            return sorted(chosen, key=lambda a: a["accountId"])[: int(params["limit"])]
        if path == "/users/current/risk-limits" and self.limits is not None:
            chosen = [a for a in self.limits if a["accountId"] > params.get("after", "")]
            return sorted(chosen, key=lambda a: a["accountId"])[: int(params["limit"])]
        if path == "/users/current/decisions" and self.decisions is not None:
            return self._following(self.decisions, params)
        if path.endswith("/stopouts"):
            return [s for s in self.stopouts if s["subscriberId"] == path.split("/")[4] and not s.get("reset")]
        if "/accounts/" in path and path.endswith("/account-information"):
            own = [row for row in self.accounts or () if row["accountId"] == path.split("/")[4]]
            return (
                own[0]
                if own
                else {"currency": "USD", "balance": 1000.5, "equity": 990.25, "margin": 10, "leverage": 100}
            )
        return None

    def _configuration(self, name: str) -> Callable:
        kind, _, backend_id = name.partition("/")
        lists = {
            "strategies": self.strategies,
            "portfolio-strategies": self.portfolios,
            "subscribers": self.subscribers,
        }
        if backend_id:
            return lambda params: next((d for d in lists[kind] if d["_id"] == backend_id), None)
        return lambda params: _cut(lists[kind], params)

    def _put(self, name: str, body: bytes) -> str | None:
        kind, _, backend_id = name.partition("/")
        for document in self.subscribers if kind == "subscribers" else self.strategies:
            if document["_id"] == backend_id:
                document.clear()
                document.update({"_id": backend_id, **json.loads(body)})
                return ""
        return None

    def _reset(self, path: str) -> str | None:
        self.resets.append(path)
        account = path.split("/")[4]
        strategy = path.split("/")[6] if "/subscription-strategies/" in path else None
        for event in self.stopouts:
            same = (event.get("strategy") or {}).get("id") == strategy and event["reason"] == path.split("/")[-2]
            if event["subscriberId"] == account and same and not event.get("reset"):
                event["reset"] = True
                return ""
        return None

    def _after(self, events: list[dict], params: dict) -> list[dict] | object:
        after = int(params.get("previousSequenceNumber") or 0)
        if after > max((event["sequenceNumber"] for event in events), default=0):
            return AHEAD
        return [event for event in events if event["sequenceNumber"] > after][: int(params["limit"])]

    def _following(self, rows: list[dict], params: dict) -> dict:
        """Oldest first behind `after`, which ends with the number of rows that were read."""
        start = int(params["after"].partition(".")[2])
        page = rows[start : start + int(params["limit"])]
        return {"items": page, "next": f"1.{start + len(page)}"}

    def _page(self, rows: list[dict], params: dict, fault: str | None) -> bytes:
        # newest first; `from` is inclusive, `till` exclusive
        first = bisect_right(rows, _descending(params["till"]), key=lambda t: _descending(t["time"]))
        last = bisect_right(rows, _descending(params["from"]), key=lambda t: _descending(t["time"]))
        chosen = rows[first:last]
        if fault == "reversed":
            chosen = chosen[::-1]
        offset = int(params.get("offset", 0))
        offset = max(offset - 1000, 0) if fault == "twice" else offset
        page = chosen[offset : offset + int(params.get("limit", 1000))]
        if fault == "wrong type" and page:
            page = [{**page[0], "profit": "a lot"}, *page[1:]]
        if fault == "shuffled":
            page = random.Random(offset).sample(page, len(page))
        return b"[" + b",".join(map(self._body_of, page)) + b"]"

    def _body_of(self, row: dict) -> bytes:
        body = self._bodies.get(id(row)) if self.rows_never_change else None
        if body is None:
            body = self._bodies[id(row)] = json.dumps(row).encode()
        return body


def _descending(text: str) -> float:
    return -datetime.fromisoformat(text).timestamp()


def _cut(rows: list[dict], params: dict) -> list[dict]:
    offset = int(params.get("offset", 0))
    return rows[offset : offset + int(params.get("limit", 1000))]


def _spoil(body: bytes, fault: str | None) -> bytes:
    if fault == "half":
        return body[: len(body) // 2]
    if fault == "invalid":
        return body.replace(b'"', b"'", 1) + b"}"
    if fault == "nan":
        return b'[{"id": "1", "profit": NaN}]'
    return body


def _error(name: str, message: str, **fields) -> bytes:
    return json.dumps({"id": 1, "error": name, "message": message, **fields}).encode()


def _handler(backend: SimBackend) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def respond(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length) if length else b""
            address = urlsplit(self.path)
            params = {name: values[-1] for name, values in parse_qs(address.query).items()}
            status, answer = backend.answer(self.command, address.path, params, body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do_DELETE = respond

        def log_message(self, *args) -> None:
            """Tests stay quiet."""

    return Handler


def main() -> None:
    """Serve a history in a process of its own: `python -m tests.faults.sim_backend --rows 100000`."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--port", type=int, default=0)
    chosen = options.parse_args()
    with SimBackend(history(chosen.rows), port=chosen.port) as backend:
        backend.rows_never_change = True
        print(backend.url, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
