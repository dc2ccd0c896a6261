"""A door before a backend that lets only the CopyFactory contract through: what a portal meets at the vendor's cloud.

Everything beyond sections 2.1 to 2.4 of the contract is answered with `refusal` (404: no such call; 403: a token that
may not use it). Real HTTP on loopback, so that the portal behind it is tried as a black box.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.faults.account_api import AccountApi

ACCOUNT_APIS = ("/mt-provisioning-api-v1/", "/mt-client-api-v1/", "/metastats-api-v1/", "/risk-management-api-v1/")
_OWN = "/users/current"
_SETTINGS = f"{_OWN}/configuration"
CONTRACT = re.compile(
    "|".join(
        (
            rf"{_SETTINGS}/(unused-strategy-id|strategies|portfolio-strategies|subscribers)",
            rf"{_SETTINGS}/(strategies|portfolio-strategies|subscribers)/[^/]+",
            rf"{_SETTINGS}/portfolio-strategies/[^/]+/members/[^/]+",
            rf"{_SETTINGS}/subscribers/[^/]+/subscriptions/[^/]+",
            rf"{_SETTINGS}/strategies/[^/]+/webhooks(/[^/]+)?",
            rf"{_OWN}/(provided|subscription)-transactions",
            rf"{_OWN}/(strategies|subscribers)/[^/]+/(transactions/stream|user-log|user-log/stream)",
            rf"{_OWN}/subscribers/[^/]+/(resynchronize|stopouts|signals|stopouts/[^/]+/reset)",
            rf"{_OWN}/subscribers/[^/]+/subscription-strategies/[^/]+/stopouts/[^/]+/reset",
            rf"{_OWN}/stopouts/stream",
            rf"{_OWN}/strategies/[^/]+/external-signals(/[^/]+(/remove)?)?",
            r"/webhooks/[^/]+",
        )
    )
)
_PASSED_ON = ("auth-token", "api-version", "content-type", "idempotency-key")


class ContractOnly:
    """The door; use it as a context manager. refused: paths that were asked for and are not of the contract.

    accounts: what answers the account APIs beside it; None: they are refused, too. passes_accounts: the backend does.
    """

    def __init__(
        self, backend: str, *, refusal: int = 404, accounts: AccountApi | None = None, passes_accounts: bool = False
    ) -> None:
        self.backend, self.refusal, self.accounts = backend, refusal, accounts
        self.passes_accounts = passes_accounts
        self.refused: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> ContractOnly:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body: the backend's for calls of the contract."""
        path = target.partition("?")[0]
        if self.accounts is not None and path.startswith(ACCOUNT_APIS):
            status, answer = self.accounts.answer(target)
            return status, json.dumps(answer).encode()
        is_passed = self.passes_accounts and path.startswith(ACCOUNT_APIS)
        if not is_passed and not CONTRACT.fullmatch(path):
            self.refused.append(path)
            name = "NotFoundError" if self.refusal == 404 else "ForbiddenError"
            return self.refusal, json.dumps({"id": 1, "error": name, "message": "Not for this token."}).encode()
        answer = httpx.request(method, self.backend + target, headers=headers, content=body, timeout=30)
        return answer.status_code, answer.content


def _handler(door: ContractOnly) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            status, answer = door.answer(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve

        def log_message(self, *_) -> None:
            """Nothing is printed."""

    return Handler
