"""No answer: which error that is, and what a page and the log may say about it."""

from __future__ import annotations

import httpx

from .errors import Unreachable
from .reach import NotAllowed


class TimedOut(Unreachable):
    """The connection stands, the answer does not come."""


def unreachable(error: Exception, where: str, limits: httpx.Timeout) -> Unreachable:
    """Why there is no answer; `said` is the network's own word, for the log."""
    text = _no_answer(where, error, limits)
    if isinstance(error, httpx.ReadTimeout):
        failure: Unreachable = TimedOut(text)
    elif isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
        failure = Unreachable(text, was_sent=False, transient=False)
    else:
        was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        failure = Unreachable(text, was_sent=was_sent)
    failure.said = (str(error) or type(error).__name__)[:500]
    return failure


def _no_answer(where: str, error: Exception, limits: httpx.Timeout) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        reason = f"no connection within {limits.connect:g} s"
    elif isinstance(error, httpx.TimeoutException):
        reason = f"no answer within {limits.read:g} s"
    elif isinstance(error.__cause__, NotAllowed):
        reason = str(error.__cause__)
    elif where.startswith("“"):
        reason = "no answer"  # a page shows it: how a port answers is nobody's business there
    else:
        reason = str(error).rstrip(". ") or type(error).__name__
    at = where if where.startswith("“") else f"at {where}"
    return f"Cannot reach the backend {at}: {reason}."
