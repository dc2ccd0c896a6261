"""Issuing: the preview of a whole run, one statement of it as it would be printed, and asking for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.book_jobs import ISSUE
from reporting.commission.drafts import Fate
from reporting.commission.previewing import PreviewRow, preview_pdf, preview_row, preview_rows, sums_of
from reporting.commission.services import calendar_of
from reporting.forms import IssueForm
from reporting.models import BillingPeriod
from reporting.views.booking import carry_out_or_ask
from reporting.views.commissions import chosen_span, local_day, wants_csv
from users.confirming import confirmed
from users.listing.export import file_name, plain_csv
from users.once import once
from users.parsing import row_id
from users.permissions import may_bill
from users.requests import MemberRequest
from users.time_limit import statements_may_take

DAYS_TO_PAY = 14
ROWS_PER_PAGE = 50


def issue_until(request: MemberRequest):
    """The end of the month in the URL, else now."""
    return min(chosen_span(request).until, timezone.now()) if request.GET.get("period") else timezone.now()


FATES = (
    ("", "All"),
    (Fate.ISSUED, "Issued"),
    (Fate.OLD_RATE, "Old rates: wait"),
    (Fate.SMALL, "Below the minimum: wait"),
    (Fate.NOTHING_OWED, "Nothing owed"),
)
FATE_WORDS = dict(FATES)
ORDERS: dict[str, Callable[[PreviewRow], Any]] = {
    "name": lambda row: (row.draft.subscriber_name.lower(), row.draft.account.subscriber_id),
    "total": lambda row: row.total,
    "lines": lambda row: row.draft.lines,
}
PREVIEW_CSV = (
    "subscriber",
    "subscriber_id",
    "client",
    "periods",
    "lines",
    "amount",
    "tax",
    "total",
    "currency",
    "in_dispute",
    "rate_day",
    "what_happens",
)


@require_safe
@statements_may_take(60)  # everything that is to be issued, worked out at once
@may_bill
def review(request: MemberRequest) -> HttpResponse:
    """The statements that would be issued now, and those that would wait; nothing is written."""
    rows = preview_rows(request.membership, issue_until(request))
    if wants_csv(request):
        shown = chosen_rows(request, rows)
        name = file_name("statements-to-issue", [], on=local_day(request))
        return plain_csv(PREVIEW_CSV, [preview_cells(row) for row in shown], name)
    today = calendar_of(request.workspace).day_of(timezone.now())
    initial = {"due_on": today + timedelta(days=DAYS_TO_PAY)}
    form = IssueForm(initial=initial, today=today, **asked_about(rows))
    return render_review(request, form, rows)


def preview_cells(row: PreviewRow) -> tuple[Any, ...]:
    draft = row.draft
    return (
        draft.subscriber_name,
        draft.account.subscriber_id,
        row.client,
        len(draft.items),
        draft.lines,
        draft.amount,
        row.tax,
        row.total,
        draft.account.currency,
        row.in_dispute,
        draft.rate_day or "",
        FATE_WORDS[row.fate],
    )


def chosen_rows(request: MemberRequest, rows: Sequence[PreviewRow]) -> list[PreviewRow]:
    """Those that the search and the filter of the address keep, in its order."""
    sought, fate = request.GET.get("q", "").strip().lower(), request.GET.get("fate", "")
    fitting = [
        row
        for row in rows
        if (not fate or row.fate == fate)
        and (
            not sought
            or any(sought in text.lower() for text in (row.draft.subscriber_name, row.client))
            or sought == row.draft.account.subscriber_id.lower()
        )
    ]
    order = request.GET.get("sort", "")
    return sorted(fitting, key=ORDERS.get(order.lstrip("-"), ORDERS["name"]), reverse=order.startswith("-"))


def asked_about(rows: Sequence[PreviewRow]) -> dict[str, int]:
    """How many statements wait unless somebody says otherwise: for their rates, or as their sum is small."""
    counts = Counter(row.fate for row in rows)
    return {"old_rates": counts[Fate.OLD_RATE], "small": counts[Fate.SMALL]}


def render_review(
    request: MemberRequest, form: IssueForm, rows: Sequence[PreviewRow], status: int = 200
) -> HttpResponse:
    until, counts = issue_until(request), Counter[str](row.fate for row in rows)
    drafts = [row for row in rows if row.fate in (Fate.ISSUED, Fate.OLD_RATE)]
    chosen = chosen_rows(request, rows)
    last = max(1, -(-len(chosen) // ROWS_PER_PAGE))
    number = min(max(row_id(request.GET.get("page", "")) or 1, 1), last)
    waiting = BillingPeriod.objects.visible_to(request.membership).to_close(timezone.now())
    old = [row.draft for row in drafts if row.draft.is_rate_old]
    context = {
        "rows": chosen[(number - 1) * ROWS_PER_PAGE : number * ROWS_PER_PAGE],
        "chosen": len(chosen),
        "page": number,
        "last_page": last,
        "fates": [(code, words, counts[code] if code else len(rows)) for code, words in FATES],
        "fate_words": FATE_WORDS,
        "kept": {key: request.GET[key] for key in ("period", "q", "fate", "sort") if request.GET.get(key)},
        "number": len(drafts),
        "counts": counts,
        "old": len(old),
        "old_day": min((draft.rate_day for draft in old if draft.rate_day), default=None),
        "old_currency": old[0].reporting_currency if old else "",
        "form": form,
        "totals": sums_of(drafts),
        "tab": "statements",
        "until": until,
    }
    context |= {"open_periods": waiting.filter(period_end__lte=until).count()}
    return render(request, "reporting/issue_statements.html", context, status=status)


@require_safe
@may_bill
def preview(request: MemberRequest) -> HttpResponse:
    """One statement as it would be printed; nothing is written."""
    now = timezone.now()
    row = preview_row(request.membership, issue_until(request), request.GET.get("of", ""))
    if row is None or row.fate == Fate.NOTHING_OWED:
        raise Http404
    due_on = calendar_of(request.workspace).day_of(now) + timedelta(days=DAYS_TO_PAY)
    response = HttpResponse(
        preview_pdf(request.membership, row.draft, due_on=due_on, now=now), content_type="application/pdf"
    )
    response["Content-Disposition"] = 'inline; filename="preview.pdf"'
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@may_bill
@confirmed
@once
def issue(request: MemberRequest) -> HttpResponse:
    """Issue them all."""
    rows = preview_rows(request.membership, issue_until(request))
    today = calendar_of(request.workspace).day_of(timezone.now())
    form = IssueForm(request.POST, today=today, **asked_about(rows))
    if not form.is_valid():
        return render_review(request, form, rows, status=422)
    until, due_on = issue_until(request), form.cleaned_data["due_on"]
    title = f"Statements of periods that ended by {until:%Y-%m-%d}"
    parameters = {"until": until.isoformat(), "due_on": due_on.isoformat()}
    for consent in ("accepts_old_rates", "with_small"):
        parameters[consent] = bool(form.cleaned_data.get(consent))
    carry_out_or_ask(request, ISSUE, title=title, parameters=parameters, origin=reverse("reporting:statements"))
    return redirect("reporting:statements")
