"""How log lines look, for our settings and for servers that log before those are read; and what stays out of them."""

from __future__ import annotations

import logging
from typing import Any

import structlog

PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# plain for people, json for machines: one object a line with time, level, logger, event and the request's id
FORMATTERS: dict[str, dict[str, Any]] = {
    "json": {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*PROCESSORS, structlog.stdlib.ExtraAdder()],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # not dict_tracebacks: it prints local variables, secrets too
            structlog.processors.JSONRenderer(),
        ],
    },
    "plain": {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": PROCESSORS,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(
                colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            ),
        ],
    },
}


class WithoutTracesOfRefusals(logging.Filter):
    """A request that is refused (4xx) is a line, not a page: its traceback is of our own check, and anybody can ask."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.") and getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
