"""Results of jobs as files below VAR/jobs: written under a name that nobody else writes, complete once a row names it.

Workers and web processes share this folder. A file that no row names is a leftover of a worker that was killed.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings

from jobs.kinds import JobRefused, Work

MOST_BYTES = 2_000_000_000
STRAY_AFTER = timedelta(hours=1)  # longer than any worker writes at one file
_NAME = re.compile(r"[0-9a-f]{32}\.[a-z]{1,8}")


def folder() -> Path:
    """Where results are; made when it is missing, for the portal's user alone."""
    path = Path(settings.VAR) / "jobs"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def path_of(name: str) -> Path | None:
    """The file of that name, or None where there is none."""
    if not _NAME.fullmatch(name):
        return None
    path = folder() / name
    return path if path.is_file() else None


def write_csv(pieces: Iterable[bytes], work: Work, *, total: int | None) -> tuple[str, int, int]:
    """(name, bytes, rows without the head) of a new file on disk. Reports the rows as they are written.

    Raises JobRefused for a file that grows too large, LeaseLost, CancelAsked; then nothing is left of it.
    """
    name = f"{uuid.uuid4().hex}.csv"
    path, size, lines, is_quoted = folder() / name, 0, 0, False
    try:
        with path.open("xb") as file:
            for piece in pieces:
                size += len(piece)
                if size > MOST_BYTES:
                    raise JobRefused("The file would be larger than 2 GB: choose a shorter period or fewer rows.")
                file.write(piece)
                more, is_quoted = count_lines(piece, is_quoted)
                lines += more
                rows = max(lines - 1, 0)
                work.report(rows, max(total or 0, rows) or None, "The file is being written.")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return name, size, max(lines - 1, 0)


def count_lines(piece: bytes, is_quoted: bool) -> tuple[int, bool]:
    """(ends of lines in a piece of CSV, whether it ends inside quotes): a line end inside quotes is part of a cell."""
    if b'"' not in piece:
        return (0 if is_quoted else piece.count(b"\n")), is_quoted
    parts = piece.split(b'"')
    lines = sum(part.count(b"\n") for part in parts[is_quoted::2])
    return lines, is_quoted ^ (len(parts) % 2 == 0)


def remove(name: str) -> int:
    """Remove a result; returns whether there was one."""
    path = path_of(name)
    if path is None:
        return 0
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return 1


def remove_strays(known: set[str], now: datetime) -> int:
    """Remove files that no row names and that nobody writes any more; returns how many."""
    removed = 0
    for path in folder().iterdir():
        if path.name in known or not _NAME.fullmatch(path.name):
            continue
        with contextlib.suppress(FileNotFoundError):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) <= now - STRAY_AFTER:
                removed += remove(path.name)
    return removed
