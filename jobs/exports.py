"""Exports: a list's CSV prepared in the background, as the very answer that its page would give to whoever asked.

What was asked is the list's address, signed by the page that showed it. A worker calls the view behind it as that
person with the role of that moment: rights, scope, filters and columns are those of the page, in no second place.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import BadRequest, PermissionDenied
from django.core.signing import BadSignature, Signer
from django.http import Http404, QueryDict
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.urls import Resolver404, resolve

from jobs import files
from jobs.kinds import JobKind, JobRefused, JobStep, Result, Work, register, staff
from users.listing import Table
from users.models import Membership
from users.requests import MemberRequest

LONG_LIST_ROWS = 20_000  # a shorter one is downloaded in a second
NOT_YOURS = "The page of this list is not yours to see any more, or it is gone."


def _signer() -> Signer:
    return Signer(salt="jobs.exports")


def offer(table: Table) -> str:
    """What the form of a long list sends back, signed; empty where the list is short or the reader no staff."""
    membership = table.membership
    if membership is None or not staff(membership) or not table.rows or table.count.rows < LONG_LIST_ROWS:
        return ""
    title = ", ".join(
        [table.listing.name.replace("-", " ").capitalize(), *(filter_.chip.text for filter_ in table.applied)]
    )
    return _signer().sign_object({"address": table.csv_href, "title": title, "rows": table.count.rows})


def unsign(signed: str) -> dict[str, Any] | None:
    """What `offer` made: address, title, rows; None for anything else."""
    try:
        return _signer().unsign_object(signed)
    except (BadSignature, ValueError):
        return None


def slices(work: Work) -> Iterator[JobStep]:
    """One slice: a file is one reading of the database, begun anew when a worker dies."""
    response = answer(work.job.parameters["address"], work.asker)
    with closing(pieces_of(response)) as pieces:
        name, size, rows = files.write_csv(pieces, work, total=work.job.parameters.get("rows"))
    details: dict[str, Any] = {"bytes": size, "rows": rows, "role": work.asker.role}
    details["name"] = response["Content-Disposition"].split('filename="')[-1].rstrip('"')
    words = f"{rows:,} {'row' if rows == 1 else 'rows'} are in the file.".replace(",", "\u2009")
    yield JobStep(done=rows, total=rows, result=Result(words, file=name, details=details))


def answer(address: str, membership: Membership) -> HttpResponseBase:
    """What the page of a list answers to this member. Raises JobRefused where that is no file."""
    parts = urlsplit(address)
    try:
        match = resolve(parts.path)
        response = match.func(request_of(parts.path, parts.query, membership), *match.args, **match.kwargs)
    except (Http404, Resolver404, PermissionDenied) as error:
        raise JobRefused(NOT_YOURS) from error
    except BadRequest as error:
        raise JobRefused(str(error)) from error
    if response.status_code != 200 or not response.get("Content-Disposition", "").startswith("attachment"):
        close(response)
        raise JobRefused(NOT_YOURS)
    return response


def request_of(path: str, query: str, membership: Membership) -> MemberRequest:
    """A reading of that address by the member, as the middleware would hand it to the view."""
    request = MemberRequest()
    request.method, request.path, request.path_info = "GET", path, path
    request.GET = QueryDict(query)
    request.META = {"REQUEST_METHOD": "GET", "QUERY_STRING": query, "PATH_INFO": path, "SERVER_NAME": "localhost"}
    request.user, request.membership, request.memberships = membership.user, membership, [membership]
    request.workspace, request.partial = membership.workspace, False
    return request


def pieces_of(response: HttpResponseBase) -> Generator[bytes]:
    """The bytes of an answer; ends its database transaction when it is left early."""
    try:
        if isinstance(response, StreamingHttpResponse):
            yield from map(bytes, response)
        else:
            yield response.content  # type: ignore[attr-defined]
    finally:
        close(response)


def close(response: HttpResponseBase) -> None:
    """End what an answer reads from; `response.close()` would end a request, and with it the worker's connection."""
    for closer in response._resource_closers:  # type: ignore[attr-defined]  # Django's own list, without a public name
        closer()


EXPORT = register(
    JobKind(
        key="export",
        words="CSV file",
        unit="rows",
        slices=slices,
        may_see=staff,
        may_ask=staff,
        is_stored_by_slice=False,
        stays=timedelta(days=30),
    )
)
