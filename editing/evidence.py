"""What the backend's document says about a change that was sent and whose answer was lost. Pure.

A backend may add fields of its own to what is written, and somebody else may have changed another setting since, so the
question is whether what the change does is in force, not only whether the documents are equal.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from editing.merging import merged, writable

Document = dict[str, Any]


class Verdict(StrEnum):
    """DONE: it is in force. NOT_DONE: all is as before. OVERTAKEN: neither, somebody else changed the same."""

    DONE = "done"
    NOT_DONE = "not-done"
    OVERTAKEN = "overtaken"


def verdict_on_write(before: Document, after: Document, current: Document | None) -> Verdict:
    """Of a document that was written as a whole; before: {} for a new one; current: None where there is none."""
    if current is None:
        return Verdict.OVERTAKEN if before else Verdict.NOT_DONE
    was, wanted, now = writable(before), writable(after), writable(current)
    if now == wanted:
        return Verdict.DONE
    if now == was:
        return Verdict.NOT_DONE
    on_top, _ = merged(was, wanted, now)
    return Verdict.DONE if on_top == now else Verdict.OVERTAKEN


def verdict_on_removal(before: Document | None, current: Document | None, mode: str) -> Verdict:
    """Of an object, member or subscription that was removed; None: there is none. mode: the close instructions."""
    if current is None:
        return Verdict.DONE
    if not _is_winding_down(current):
        return Verdict.NOT_DONE
    mode_now = current.get("closeOnRemovalMode")
    if mode_now in (None, mode):
        return Verdict.DONE
    # it was being wound down already, in the way that it still is
    if _is_winding_down(before or {}) and (before or {}).get("closeOnRemovalMode") == mode_now:
        return Verdict.NOT_DONE
    return Verdict.OVERTAKEN


def _is_winding_down(document: Document) -> bool:
    return bool(document.get("removed") or document.get("closeOnRemovalMode"))
