"""The parameters of a list's URL and the error for one that makes no sense."""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.exceptions import BadRequest

PAGE_KEYS = ("after", "before", "newer")


class BadParameter(BadRequest):
    """A parameter of the URL is wrong; `text` says which, and what is accepted."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text


def first_page(parameters) -> dict[str, str]:
    """The parameters that survive a change of filter or sort: all but the position and the format."""
    return {key: value for key, value in parameters.items() if key not in PAGE_KEYS and key != "format" and value}


def address(path: str, parameters: dict[str, str]) -> str:
    """The path with its parameters, without a lonely question mark."""
    query = urlencode({key: value for key, value in parameters.items() if value not in ("", None)})
    return f"{path}?{query}" if query else path
