"""One request, one act: every write names an Idempotency-Key, and whoever sends it again gets the same answer.

The key is claimed in the database before anything is done. What became of an edit is known by its own row
(editing/saving.py), so a request whose process died is brought to its end by whoever sends it again. What only the
database does is stored together with its answer. Anything else that was sent and never answered stays not known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
from django.db import transaction
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import ApiToken, ApiWrite, WriteState
from api.problems import MEDIA_TYPE, ApiProblem, body_of, problem_of
from editing.models import Change

KEPT = timedelta(hours=24)
RUNS_FOR = timedelta(seconds=120)  # as editing.saving.IS_SENDING_FOR: by then it is answered, or its process is gone
RETRY_S = 5
MOST_FORGOTTEN = 500  # at once
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


class Sort(Enum):
    """How a write is brought to its end after its process died.

    EDIT: by the change that it became. STORED: it only writes the database, so nothing of it is there. SENT: it cannot.
    """

    EDIT = "edit"
    STORED = "stored"
    SENT = "sent"


@dataclass(frozen=True)
class Reply:
    """What is answered. state: how far it came; change: the edit it became."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    state: WriteState = WriteState.DONE
    change: Change | None = None


Act = Callable[[ApiWrite], Reply]
Recover = Callable[[Change], Reply | None]


def key_of(request: Request) -> str:
    """The key that a request names. Raises ApiProblem."""
    key = request.headers.get("Idempotency-Key", "").strip()
    if not _KEY.fullmatch(key):
        raise ApiProblem("idempotency-key-needed")
    return key


def fingerprint_of(request: Request, body: Any) -> str:
    """Digest of what the request asks for: another order of names or spacing is no other request."""
    asked = [request.method, request.get_full_path(), request.headers.get("If-Match", ""), body]
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def answer_once(
    request: Request, body: Any, act: Act, *, sort: Sort, recover: Recover | None, now: datetime
) -> Response:
    """Do what is asked once, or answer what was answered. recover: the answer of an edit, None: it can be made anew."""
    row, is_ours, is_first = claim(request.auth, key_of(request), fingerprint_of(request, body), now=now)
    if not is_ours:
        return replay(row, recover)
    if not is_first:
        if sort == Sort.SENT:
            _store_problem(row, ApiProblem("outcome-unknown"), WriteState.UNKNOWN)
            raise ApiProblem("outcome-unknown")
        if (known := _recovered(row, recover)) is not None:
            return _response(known)
    return _response(_carry_out(row, act, sort))


def claim(token: ApiToken, key: str, fingerprint: str, *, now: datetime) -> tuple[ApiWrite, bool, bool]:
    """The row of the key, whether it is ours to carry out, and whether for the first time. Raises ApiProblem."""
    forget(now)
    ApiWrite.objects.filter(token=token, key=key, created_at__lt=now - KEPT).delete()
    defaults = {"fingerprint": fingerprint, "created_at": now, "started_at": now}
    row, is_first = ApiWrite.objects.select_related("change").get_or_create(token=token, key=key, defaults=defaults)
    if is_first:
        return row, True, True
    if row.fingerprint != fingerprint:
        raise ApiProblem("idempotency-key-reused")
    if row.state != WriteState.SENDING:
        return row, False, False
    left = ApiWrite.objects.filter(pk=row.pk, state=WriteState.SENDING, started_at=row.started_at)
    if now < row.started_at + RUNS_FOR or not left.update(started_at=now):
        raise ApiProblem("still-running", headers={"Retry-After": str(RETRY_S)})
    row.started_at = now
    return row, True, False


def forget(now: datetime) -> None:
    """Drop what is older than a day, some at a time."""
    old = ApiWrite.objects.filter(created_at__lt=now - KEPT).order_by("created_at").values("pk")[:MOST_FORGOTTEN]
    ApiWrite.objects.filter(pk__in=old).delete()


def replay(row: ApiWrite, recover: Recover | None) -> Response:
    """What was answered; of an edit whose outcome was not known, what is known by now."""
    known = _recovered(row, recover) if row.state == WriteState.UNKNOWN else None
    if known is not None:
        return _response(known, is_replayed=True)
    media = MEDIA_TYPE if (row.status or 0) >= 400 else None
    response = Response(row.answer, status=row.status, headers=dict(row.headers), content_type=media)
    response["Idempotency-Replayed"] = "true"
    return response


def _carry_out(row: ApiWrite, act: Act, sort: Sort) -> Reply:
    try:
        with transaction.atomic() if sort == Sort.STORED else nullcontext():
            answer = act(row)
            if sort == Sort.STORED:
                _store(row, answer)
    except Exception as error:
        _store_error(row, error, sort)
        raise
    if sort != Sort.STORED:
        _store(row, answer)
    return answer


def _store_error(row: ApiWrite, error: Exception, sort: Sort) -> None:
    """A refusal is the answer; what may succeed later leaves the key free; a surprise leaves the outcome unknown."""
    problem = problem_of(error)
    if problem is None:
        if sort == Sort.SENT:
            _store_problem(row, ApiProblem("outcome-unknown"), WriteState.UNKNOWN)
        elif sort == Sort.STORED:
            row.delete()
        return  # an edit is brought to its end by the next request
    if problem.kind.code == "outcome-unknown":
        _store_problem(row, problem, WriteState.UNKNOWN)
    elif problem.is_passing:
        row.delete()
    else:
        _store_problem(row, problem, WriteState.REFUSED)


def _store_problem(row: ApiWrite, problem: ApiProblem, state: WriteState) -> None:
    _store(row, Reply(body_of(problem), problem.kind.status, problem.headers, state))


def _store(row: ApiWrite, answer: Reply) -> None:
    row.state, row.status, row.answer, row.headers = (
        answer.state,
        answer.status,
        dict(answer.body),
        dict(answer.headers),
    )
    row.change = answer.change or row.change
    row.save(update_fields=["state", "status", "answer", "headers", "change"])


def _recovered(row: ApiWrite, recover: Recover | None) -> Reply | None:
    """What is known of the edit that the request became; None: there is none, or it was never sent."""
    if row.change is None or recover is None:
        return None
    try:
        answer = recover(row.change)
    except ApiProblem as problem:
        if not problem.is_passing:
            _store_problem(row, problem, WriteState.REFUSED)
        elif row.state == WriteState.SENDING:  # nobody carries it out any more: the next request looks again
            ApiWrite.objects.filter(pk=row.pk).update(started_at=row.created_at)
        raise
    if answer is None:
        row.change = None
    else:
        _store(row, answer)
    return answer


def _response(answer: Reply, *, is_replayed: bool = False) -> Response:
    headers = {**answer.headers, **({"Idempotency-Replayed": "true"} if is_replayed else {})}
    return Response(answer.body, status=answer.status, headers=headers)
