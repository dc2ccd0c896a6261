"""Reading an answer piece by piece, within a number of bytes and a time, whatever the other side sends.

What is counted is what it grows to in memory: a compressed answer is unpacked here, a bounded piece at a time, since a
kilobyte can hold a megabyte.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator

import httpx

LARGEST_ANSWER = 32 * 1024 * 1024  # bytes; a page of 1,000 records has one or two million
ENCODINGS = "gzip"
_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class TooMuch(Exception):
    """The answer is too long, too slow or cannot be unpacked. The text follows "The backend answers"."""


def read_whole(response: httpx.Response, *, largest: int, until: float) -> bytes:
    """The body of a streamed response. until: by the monotonic clock. Raises TooMuch and httpx's errors."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", ""):
        raise TooMuch(f"in an encoding that was not asked for ({encoding[:20]})")
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and (len(declared) > 15 or int(declared) > largest):
        raise TooMuch(_too_long(largest))
    if response.is_stream_consumed:  # a transport that answers from memory
        if len(response.content) > largest:
            raise TooMuch(_too_long(largest))
        return response.content
    body = bytearray()
    for piece in _pieces(response, is_packed="gzip" in encoding):
        body += piece
        if len(body) > largest:
            raise TooMuch(_too_long(largest))
        if time.monotonic() > until:
            raise TooMuch("too slowly")
    return bytes(body)


def _pieces(response: httpx.Response, *, is_packed: bool) -> Iterator[bytes]:
    unpack = zlib.decompressobj(_GZIP)
    try:
        for raw in response.iter_raw():
            if not is_packed:
                yield raw
                continue
            while raw:
                yield unpack.decompress(raw, _PIECE)
                raw = unpack.unconsumed_tail
        if is_packed:
            yield unpack.flush()
    except zlib.error as error:
        raise TooMuch("with something that cannot be unpacked") from error


def _too_long(largest: int) -> str:
    return f"with more than {largest / 1_048_576:g} MB"
