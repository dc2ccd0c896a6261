"""What can go wrong between us and a backend.

    ClientError             text: one sentence for the user; transient: worth trying again later?
    ├── Unreachable         no answer: no such host, refused, cut off, too slow
    ├── Unauthorised        401, or a token that cannot be one
    ├── Forbidden           403
    ├── NotFound            404
    │   └── NotConnected    the account is not, or not yet, connected to its broker
    ├── Rejected            400; `details` name the parameters
    │   └── AccountRefused  400 with a code that says what is wrong with a trading account, and what to do
    ├── RateLimited         429, and waiting would take too long; `retry_at` says when
    │   └── NotReady        202: it is being worked on; the same request again, from `retry_at` on
    ├── BackendFailed       409, 5xx and statuses that no call of the contract has; `status`
    └── Unreadable          the answer is not what the contract says; `reason` and `start` of the body

An error does not say that a write was not carried out: `may_be_done` says whether it may have been, in this attempt or
in one before it that was repeated. No text ever contains the token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any


class ClientError(Exception):
    """Base of all. The text is a sentence that a user may read.

    said: what the other side or the network said, for logs alone: a server at an entered address is not to be read
    through our pages.
    """

    transient = False
    said = ""
    may_be_done = False  # of a write: the backend may have carried it out all the same

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text


class Unreachable(ClientError):
    """No answer. `was_sent`: whether the backend may have acted on the request all the same."""

    def __init__(self, text: str, *, was_sent: bool = True, transient: bool = True):
        super().__init__(text)
        self.was_sent = self.may_be_done = was_sent
        self.transient = transient


class Unauthorised(ClientError):
    """The backend does not accept the token."""


class Forbidden(ClientError):
    """The token is good, but not for this."""


class NotFound(ClientError):
    """No such object, or no such call."""


class NotConnected(NotFound):
    """The account is known, but its terminal has no connection to the broker (yet)."""


class Rejected(ClientError):
    """The backend says the request is wrong. details: [{parameter, value, message}]."""

    def __init__(self, text: str, details: list[dict[str, Any]] | None = None):
        super().__init__(text)
        self.details = details or []


class AccountRefused(Rejected):
    """Why a trading account cannot be connected. The text says what to do.

    code: as the backend names it. servers: names to choose from, by broker. slots: how many it needs; None: not said.
    """

    def __init__(self, text: str, code: str, *, servers: dict[str, list[str]] | None = None, slots: int | None = None):
        super().__init__(text)
        self.code, self.servers, self.slots = code, servers or {}, slots


class RateLimited(ClientError):
    """Too many requests; not before `retry_at` (UTC)."""

    transient = True

    def __init__(self, text: str, retry_at: datetime):
        super().__init__(text)
        self.retry_at = retry_at


class NotReady(RateLimited):
    """The backend still works on it. The same request, with the same transaction id, has the answer later."""

    may_be_done = True


class BackendFailed(ClientError):
    """The backend could not do it; 5xx, 408 and 409 may pass."""

    def __init__(self, text: str, status: int):
        super().__init__(text)
        self.status = status
        self.transient = status >= 500 or status in (408, 409)
        self.may_be_done = status >= 500 or status == 408  # also a proxy answers so while the backend goes on


class Unreadable(ClientError):
    """The answer cannot be understood. A cut or garbled one may be better next time, a wrong number will not.

    reason: "truncated", "invalid JSON", "not a number", "out of range" or "wrong type"; start: of the body.
    """

    may_be_done = True

    def __init__(self, text: str, *, reason: str, start: str):
        super().__init__(text)
        self.reason = reason
        self.start = start
        self.transient = reason in ("truncated", "invalid JSON")
