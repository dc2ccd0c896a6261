"""What is being worked on, how far, what came of it: the list of jobs, one job, its file, and asking for an export."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import CharField, F, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from jobs import exports, files, services
from jobs.kinds import KINDS, JobKind
from jobs.models import Job
from jobs.states import JOB_STATES, job_state, state_code
from users.listing import BadParameter, Choice, Column, DayRange, Listing, Option, Search
from users.models import Membership
from users.once import FIELD, once
from users.permissions import staff_only
from users.requests import MemberRequest

MOST_LINES = 5  # jobs that a page says of itself
LINE_STAYS_S = 600  # how long it says that one is finished


def kind_options(membership: Membership | None) -> list[Option]:
    """Kinds that somebody asks for and that the member sees."""
    own = [kind for kind in KINDS.values() if membership is not None and kind.may_see(membership)]
    return [Option(kind.key, kind.words) for kind in own if kind.repeats_after_s is None]


JOBS = Listing(
    name="jobs",
    sort="-created_at",
    columns=(
        Column("created_at", "Asked for", is_sortable=True),
        Column("kind", in_table=True),
        Column("title", "What"),
        Column(
            "who",
            "By",
            source=Coalesce(NullIf(F("asked_by__name"), Value("")), F("asked_by__email"), output_field=CharField()),
            csv_name="asked_by",
        ),
        Column("code", "State", source=state_code(), csv_name="state"),
        Column("done", "Progress", csv_name="done"),
        Column("total"),
        Column("message", "Result"),
        Column("started_at", in_table=False),
        Column("finished_at", "Ended"),
        Column("state", in_csv=False),
    ),
    filters=(
        Search("q", "Search", placeholder="What it is about", fields=("title",)),
        Choice(
            "state",
            "State",
            field="code",
            placeholder="Any state",
            options=tuple(Option(state.code, state.words) for state in JOB_STATES.values()),
        ),
        Choice("kind", "Kind", placeholder="Any kind", options=kind_options),
        DayRange("period", "Asked for", field="created_at"),
    ),
)


@require_safe
@staff_only
def jobs(request: MemberRequest) -> HttpResponseBase:
    """What people of the workspace asked for, and what repeats by itself."""
    visible = Job.objects.visible_to(request.membership)
    table = JOBS.bind(request, visible.filter(is_standing=False))
    if table.wants_csv:
        return table.csv()
    standing = list(visible.filter(is_standing=True).order_by("kind"))
    running = any(row.state in ("queued", "running") for row in table.rows)
    context = {"table": table, "standing": standing, "kinds": KINDS, "is_live": running}
    return render(request, "jobs/_list.html" if request.partial else "jobs/list.html", context)


@require_safe
@staff_only
def job(request: MemberRequest, pk: int) -> HttpResponse:
    """One job: how far it is, what came of it, and ending it or trying it again."""
    row = visible_job(request, pk)
    context = {
        "job": row,
        "kind": KINDS[row.kind],
        "may_act": may_act(request, row),
        "has_file": has_file(request, row),
    }
    return render(request, "jobs/_detail.html" if request.partial else "jobs/detail.html", context)


@require_safe
@staff_only
def line(request: MemberRequest) -> HttpResponse:
    """What a person's jobs that were asked for on one page are doing, as a part of that page.

    What ended before its page was answered, that page has said.
    """
    if not request.partial:
        return redirect("jobs:list")
    own = Job.objects.visible_to(request.membership).filter(asked_by=request.user, origin=request.GET.get("page", ""))
    since = timezone.now().timestamp() - LINE_STAYS_S
    rows = [
        row
        for row in own.filter(answered_at=None).order_by("-created_at")[:MOST_LINES]
        if row.is_unfinished or (row.finished_at is not None and row.finished_at.timestamp() >= since)
    ]
    shown = [(row, KINDS[row.kind], has_file(request, row)) for row in rows]
    context = {"shown": shown, "page": request.GET.get("page", ""), "is_live": any(row.is_unfinished for row in rows)}
    return render(request, "jobs/_line.html", context)


@require_safe
@staff_only
def download(request: MemberRequest, pk: int) -> FileResponse:
    """The file of a job, for whoever asked and still has the role that it was prepared for."""
    row = visible_job(request, pk)
    path = files.path_of(row.file) if has_file(request, row) else None
    if path is None:
        raise Http404
    name = str((row.result or {}).get("name") or f"{row.kind}.csv")
    response = FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="text/csv; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@staff_only
@once
def cancel(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask for the end of a job."""
    row = visible_job(request, pk)
    check_may_act(request, row)
    ended = services.cancel(row, by=request.user, now=timezone.now())
    if ended.is_standing:
        messages.error(request, "Not cancelled: this repeats by itself.")
    elif job_state(ended).code == "ending":
        messages.info(request, "It ends after the part that is being worked on. What is done stays.")
    elif ended.state == "cancelled":
        messages.success(request, "It is cancelled. What was done before stays.")
    else:
        messages.info(request, f"Nothing to cancel: {job_state(ended).words.lower()} already.")
    return redirect("jobs:job", pk)


@require_POST
@staff_only
@once
def try_again(request: MemberRequest, pk: int) -> HttpResponse:
    """Put a job that failed or was cancelled into the queue again."""
    row = visible_job(request, pk)
    check_may_act(request, row)
    again = services.try_again(row, by=request.user, now=timezone.now())
    if again.is_unfinished:
        messages.success(request, "It is tried again, in your name.")
    else:
        messages.info(request, "It is done already.")
    return redirect("jobs:job", pk)


@require_POST
@staff_only
@once
def export(request: MemberRequest) -> HttpResponse:
    """Have the file of a long list prepared; `list` is what its page signed."""
    asked = exports.unsign(request.POST.get("list", ""))
    if asked is None:
        raise BadParameter("This list is not one that a page of the portal offered: open the list and ask there.")
    origin = asked["address"].partition("?")[0]
    try:
        services.ask(
            exports.EXPORT.key,
            request.membership,
            title=asked["title"],
            parameters={"address": asked["address"], "rows": asked["rows"]},
            origin=origin,
            key=request.POST.get(FIELD, ""),
            now=timezone.now(),
        )
    except services.TooMany as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "The file is being prepared. You can leave this page: the file appears under Jobs.")
    return redirect(page_of(request, origin))


def page_of(request: MemberRequest, path: str) -> str:
    """The page with the list: where the form was, with its filters, or the plain list."""
    referer = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(referer, {request.get_host()}) and path in referer:
        return referer
    return path


# --- One job ----------------------------------------------------------------------------------------------------------
def visible_job(request: MemberRequest, pk: int) -> Job:
    """A job that the member may see. Raises Http404."""
    own = Job.objects.visible_to(request.membership).select_related("asked_by", "cancel_asked_by", "workspace")
    return get_object_or_404(own, pk=pk)


def may_act(request: MemberRequest, row: Job) -> bool:
    """Whether the member may end it or try it again."""
    kind: JobKind = KINDS[row.kind]
    return not row.is_standing and kind.may_ask(request.membership)


def check_may_act(request: MemberRequest, row: Job) -> None:
    """Raises PermissionDenied."""
    if not row.is_standing and not may_act(request, row):
        raise PermissionDenied


def has_file(request: MemberRequest, row: Job) -> bool:
    """Whether the member may have its file: it holds what whoever asked could see with the role of that time."""
    result = row.result or {}
    return bool(row.file) and row.asked_by_id == request.user.pk and result.get("role") == request.membership.role
