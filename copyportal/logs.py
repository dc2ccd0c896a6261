"""What stays out of the logs."""

from __future__ import annotations

import logging


class WithoutTracesOfRefusals(logging.Filter):
    """A request that is refused (4xx) is a line, not a page: its traceback is of our own check, and anybody can ask."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.") and getattr(record, "status_code", 500) < 500:
            record.exc_info = record.exc_text = None
        return True
