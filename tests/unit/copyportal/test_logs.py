"""Refusals are lines in the log; faults keep their tracebacks."""

from __future__ import annotations

import logging
import sys

import pytest
from django.conf import settings

from copyportal.logs import WithoutTracesOfRefusals


def record_of(name: str, status: int | None) -> logging.LogRecord:
    try:
        raise ValueError("what is wrong")
    except ValueError:
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, "told", (), sys.exc_info())
    if status is not None:
        record.status_code = status
    return record


@pytest.mark.parametrize(
    ("name", "status", "is_traced"),
    [
        ("django.request", 400, False),
        ("django.security.BadParameter", 400, False),
        ("django.request", 404, False),
        ("django.request", 500, True),
        ("django.request", None, True),
        ("copyportal.errors", 400, True),
    ],
)
def test_only_faults_are_traced(name, status, is_traced):
    record = record_of(name, status)
    assert WithoutTracesOfRefusals().filter(record)
    assert bool(record.exc_info) is is_traced


def test_every_handler_leaves_them_out():
    assert all("refusals" in handler["filters"] for handler in settings.LOGGING["handlers"].values())
