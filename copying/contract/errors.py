"""Error answers (contract, 1.6 and 1.7)."""

from __future__ import annotations

from typing import Any

from .settings import Document


class ErrorDetail(Document, kw_only=True):
    """One thing wrong with a request: `parameter` is a path such as riskLimits.0.type."""

    parameter: str
    message: str
    value: Any = None


class ErrorBody(Document, kw_only=True):
    """What a failed request is answered with."""

    id: int
    error: str
    message: str
    numeric_code: int | None = None
    string_code: str | None = None
    details: list[ErrorDetail] | None = None
    metadata: dict[str, Any] | None = None
