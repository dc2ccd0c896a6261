"""Faults told to an error tracker that speaks Sentry's protocol, where SENTRY_DSN names one.

Told are the kind of the fault, the lines of code it passed, and the pattern of the address. Not told is what people
sent or own: no values of variables, bodies, headers, cookies or addresses as they were typed (an invitation is one).
"""

from __future__ import annotations

import logging
from typing import Any, cast

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, Dsn

KEPT_OF_LINES = ("event", "kind", "connection", "job", "tenant", "task", "process")  # of a line of the log
TOLD = ("event_id", "timestamp", "level", "platform", "release", "environment", "exception", "transaction", "logger")


def begin(dsn: str, *, environment: str) -> None:
    """Tell of faults of this process from now on; with a wrong DSN nothing is told (check E012)."""
    if not is_dsn(dsn):
        return
    sentry_sdk.init(
        dsn,
        environment=environment,
        integrations=[
            DjangoIntegration(transaction_style="url", middleware_spans=False, signals_spans=False),
            CeleryIntegration(),
            LoggingIntegration(level=None, event_level=logging.ERROR),
        ],
        auto_enabling_integrations=False,
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_client_reports=False,
        auto_session_tracking=False,
        trace_propagation_targets=[],  # else backends and programs that we call would get headers about us
        before_send=without_values,
    )


def is_dsn(dsn: str) -> bool:
    """Whether reports can be sent to it: https://KEY@HOST/PROJECT."""
    try:
        Dsn(dsn)
    except (BadDsn, ValueError):
        return False
    return True


def without_values(event: Event, hint: Hint) -> Event:
    """What may be told of a fault: what names it and where it is."""
    whole = cast(dict[str, Any], event)
    report = {name: whole[name] for name in TOLD if name in whole}
    if "log_record" in hint:
        report["logentry"] = {"message": _line_of(hint["log_record"].msg)}
    for exception in report.get("exception", {}).get("values") or ():
        exception["value"] = _without_details(exception)
    return cast(Event, report)


def _line_of(message: Any) -> str:
    """A line of the log without its values; lines of other programs keep their places for them."""
    if not isinstance(message, dict):
        return str(message)
    rest = [f"{name}={message[name]}" for name in KEPT_OF_LINES[1:] if name in message]
    return " ".join([str(message.get("event", "")), *rest])


def _without_details(exception: dict[str, Any]) -> str:
    """The first line of what a database says; what comes after it quotes rows. Of everything else only its kind."""
    is_of_database = str(exception.get("module") or "").startswith(("psycopg", "django.db"))
    lines = str(exception.get("value") or "").splitlines()
    return lines[0] if is_of_database and lines else ""
