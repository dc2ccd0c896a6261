"""How long one statement of the database may take for a page: then the page says so instead of holding its thread.

Only what is read (GET, HEAD) has the limit: a change is not given up half way because the database is busy, and files
are written by threads of their own. The limit is a setting of the connection, put on it with the page's first query and
taken off at its end; it is set beside Django's cursors, so that it is no query of the page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.http.response import HttpResponseBase
from django.shortcuts import render

from users.requests import PortalRequest

log = structlog.get_logger(__name__)
View = TypeVar("View", bound=Callable)
LIMIT = "copyportal.statement_limit"  # in the environment of a request
TEXT = (
    "The database took longer than a page waits for. Nothing is broken and nothing was changed: choose a shorter period"
    " or fewer rows, or try again when less is going on. A file (Download CSV) may take as long as it needs."
)


def statements_may_take(seconds: float) -> Callable[[View], View]:
    """A view whose statements may take longer than those of other pages, each at most so long."""

    def mark(view: View) -> View:
        view.statement_seconds = seconds  # type: ignore[attr-defined]
        return view

    return mark


@dataclass
class StatementLimit:
    """The limit of one page. seconds: None while there is none."""

    seconds: float | None = None
    limited: list[Any] = field(default_factory=list)

    def __call__(self, execute: Callable, sql: str, parameters: Any, many: bool, context: dict[str, Any]) -> Any:
        """Django's wrapper of a statement: puts the limit on a connection that has none yet."""
        own = context["connection"].connection
        if self.seconds is not None and not any(own is other for other in self.limited):
            own.execute(f"SET statement_timeout = {int(self.seconds * 1000)}")
            self.limited.append(own)
        return execute(sql, parameters, many, context)

    def lift(self) -> None:
        """Take it off again; a connection that is lost meanwhile is not used again."""
        for own in self.limited:
            with contextlib.suppress(psycopg.Error):
                own.execute("RESET statement_timeout")


class PageTimeMiddleware:
    """503 with a sentence for a page whose statement took too long. Must follow what sets the workspace."""

    def __init__(self, get_response: Callable[[PortalRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: PortalRequest) -> HttpResponseBase:
        request.META[LIMIT] = limit = StatementLimit()
        with connection.execute_wrapper(limit):
            try:
                return self.get_response(request)
            finally:
                limit.lift()

    def process_view(self, request: PortalRequest, view: Callable, args: tuple, kwargs: dict) -> None:
        if request.method in ("GET", "HEAD") and "format" not in request.GET:
            request.META[LIMIT].seconds = getattr(view, "statement_seconds", settings.PAGE_STATEMENT_SECONDS)

    def process_exception(self, request: PortalRequest, error: Exception) -> HttpResponseBase | None:
        if not was_too_long(error):
            return None
        log.warning("page took too long", path=request.path, seconds=request.META[LIMIT].seconds)
        template = "_error.html" if request.partial else "error.html"
        context = {"error_title": "This page takes too long", "error_text": TEXT, "quote": ""}
        response = render(request, template, context, status=503)
        response["Retry-After"] = "30"
        return response


def was_too_long(error: BaseException) -> bool:
    """Whether the database ended a statement because of its limit."""
    return isinstance(error, OperationalError) and isinstance(error.__cause__, psycopg.errors.QueryCanceled)
