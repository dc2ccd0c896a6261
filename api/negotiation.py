"""Everything is JSON. In a module of its own: REST framework imports it before it has a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request


class JsonOnly(BaseContentNegotiation):
    """Everything is JSON, whatever was asked for: an answer in the wrong format says more than none."""

    def select_parser(self, request: Request, parsers: Sequence[Any]) -> Any:
        sent = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if sent == parser.media_type), None)

    def select_renderer(self, request: Request, renderers: Sequence[Any], format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
