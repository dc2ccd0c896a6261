"""A download between the thread that makes it and the client that reads it: a temporary file that grows.

The thread writes as fast as the database gives rows, and is free again whatever the client does; the event loop reads
what has been written so far. When the client leaves, the next write raises Abandoned, which ends the query.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator

PIECE_BYTES = 64 * 1024


class Abandoned(Exception):
    """Nobody reads the download any more."""


class Broken(Exception):
    """The download could not be made to its end: the connection must break, so that no half file looks whole."""


class Spool:
    """One download. Made on the event loop; `write` and `finish` are for one thread, `pieces` for the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`, from another thread
        self._more = asyncio.Event()
        self._written = 0
        self._is_finished = self._is_broken = self._is_abandoned = False

    # ------------------------------------------------------------------------------------------ in the writing thread
    def write(self, piece: bytes) -> None:
        """Keep a piece. Raises Abandoned when the client has left, OSError on a full disk."""
        if self._is_abandoned:
            raise Abandoned
        self._file.write(piece)
        self._written += len(piece)
        self._loop.call_soon_threadsafe(self._more.set)

    def finish(self, *, is_broken: bool = False) -> None:
        """Say that nothing follows. The file is closed by whoever comes last."""
        self._is_broken = is_broken
        self._is_finished = True
        self._loop.call_soon_threadsafe(self._finished)

    # ------------------------------------------------------------------------------------------------- on the loop
    def _finished(self) -> None:
        self._more.set()
        if self._is_abandoned:
            self._file.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What has been written, as it comes. Raises Broken when the thread could not end it."""
        position = 0
        while True:
            self._more.clear()
            is_finished = self._is_finished  # read before the size: what was written until then is not missed
            while position < self._written:
                piece = os.pread(self._file.fileno(), PIECE_BYTES, position)
                position += len(piece)
                yield piece
            if is_finished:
                break
            await self._more.wait()
        if self._is_broken:
            raise Broken

    def close(self) -> None:
        """End it: a thread that still writes stops at its next piece."""
        self._is_abandoned = True
        if self._is_finished:
            self._file.close()
