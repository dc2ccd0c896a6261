"""How the web server logs, which does so before Django's settings are read (deploy/web-log.json)."""

from __future__ import annotations

import logging
import os

import structlog

from copyportal.logs import FORMATTERS


def server_formatter() -> logging.Formatter:
    """As LOG_FORMAT says, like all other lines."""
    chosen = FORMATTERS["json" if os.environ.get("LOG_FORMAT") == "json" else "plain"]
    return structlog.stdlib.ProcessorFormatter(**{name: part for name, part in chosen.items() if name != "()"})
