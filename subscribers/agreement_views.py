"""The firm's pages of what its clients agree to: the texts with their versions, and who accepted which."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from editing.terms import commission_text
from strategies.models import Strategy
from subscribers.agreements import Acceptance, AgreementKind, AgreementText, publish_text
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.models import Membership, Role
from users.once import once
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest

MOST_WAITING = 50
MOST_VERSIONS = 100
ACCEPTANCES = Listing(
    name="acceptances",
    sort="-accepted_at",
    columns=(
        Column("accepted_at", "When", is_sortable=True),
        Column("name", csv_name="client"),
        Column("email", "Client"),
        Column("kind", "What", source="text__kind"),
        Column("number", "Version", source="text__number", is_number=True),
        Column("address", "From"),
        Column("digest", "SHA-256 of the text"),
        Column("text_id", in_csv=False),
    ),
    filters=(
        Search("q", "Search", placeholder="Search by name or address", fields=("name", "email")),
        Choice(
            "kind",
            "What",
            placeholder="Every text",
            field="text__kind",
            options=[Option(kind.value, kind.label) for kind in AgreementKind],
        ),
        DayRange("period", "Period", field="accepted_at"),
    ),
)


class TextForm(forms.Form):
    """A new version of a text."""

    text = forms.CharField(
        label="Text",
        max_length=60_000,
        widget=forms.Textarea(attrs={"rows": 18}),
        help_text="Plain text; an empty line begins a paragraph.",
    )
    asks_again = forms.BooleanField(
        label="Ask everybody to accept it again",
        required=False,
        initial=True,
        help_text="Leave it out only where words were corrected and nothing else is meant.",
    )

    def clean_text(self) -> str:
        return "\n".join(line.rstrip() for line in self.cleaned_data["text"].replace("\r\n", "\n").split("\n")).strip()


@require_safe
@staff_only
def agreements(request: MemberRequest) -> HttpResponse:
    """What clients agree to, and who has not yet."""
    newest = {text.kind: text for text in AgreementText.objects.visible_to(request.membership).newest()}
    clients = Membership.objects.filter(workspace=request.workspace, role=Role.SUBSCRIBER, deactivated_at=None)
    waiting = waiting_clients(request, list(newest))
    rows = [(kind, newest.get(kind.value), waiting.get(kind.value, [])) for kind in AgreementKind]
    context = {
        "tab": "agreements",
        "rows": rows,
        "clients": clients.count(),
        "may_set": can_manage(request.membership),
        "most": MOST_WAITING,
    }
    return render(request, "subscribers/agreements.html", context)


def waiting_clients(request: MemberRequest, kinds: list[str]) -> dict[str, list[Membership]]:
    """By kind the clients who have yet to accept what holds. One query of each kind."""
    clients = Membership.objects.filter(workspace=request.workspace, role=Role.SUBSCRIBER, deactivated_at=None)
    waiting = {}
    for kind in kinds:
        needed = AgreementText.objects.visible_to(request.membership).filter(kind=kind, asks_again=True)
        number = needed.order_by("-number").values_list("number", flat=True).first() or 1
        accepted = Acceptance.objects.visible_to(request.membership).filter(text__kind=kind, text__number__gte=number)
        missing = clients.exclude(user_id__in=accepted.exclude(user=None).values("user_id"))
        waiting[kind] = list(missing.select_related("user").order_by("user__email"))
    return waiting


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def agreement(request: MemberRequest, kind: str) -> HttpResponseBase:
    """Write a new version of a text, and read the earlier ones."""
    if kind not in AgreementKind.values:
        raise Http404
    versions = AgreementText.objects.visible_to(request.membership).filter(kind=kind).select_related("set_by")
    listed = list(versions.order_by("-number")[:MOST_VERSIONS])
    initial = {"text": listed[0].text if listed else suggestion(request, kind), "asks_again": True}
    form = TextForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        values: dict[str, Any] = form.cleaned_data
        published = publish_text(
            request.workspace,
            kind,
            values["text"],
            asks_again=values["asks_again"],
            by=request.user,
            now=timezone.now(),
        )
        if published is None:
            messages.info(request, "Nothing was changed.")
        else:
            messages.success(request, f"{published} holds from now on.")
        return redirect("subscribers:agreements")
    context = {"tab": "agreements", "kind": AgreementKind(kind), "form": form, "versions": listed}
    return render(request, "subscribers/agreement.html", context, status=422 if form.errors else 200)


def suggestion(request: MemberRequest, kind: str) -> str:
    """What a first text may begin with: for fees, what each strategy charges now."""
    if kind != AgreementKind.FEES:
        return ""
    own = Strategy.objects.visible_to(request.membership).filter(is_removed=False).order_by("name")
    rows = own.values_list("name", "document")
    return "\n".join(f"{name}: {commission_text(document) or 'no fee'}." for name, document in rows)


@require_safe
@staff_only
def agreement_version(request: MemberRequest, pk: int) -> HttpResponse:
    """One version as clients read it."""
    text = get_object_or_404(AgreementText.objects.visible_to(request.membership).select_related("set_by"), pk=pk)
    return render(request, "subscribers/agreement_version.html", {"tab": "agreements", "text": text})


@require_safe
@staff_only
def acceptances(request: MemberRequest) -> HttpResponseBase:
    """Who accepted what, when and from where."""
    table = ACCEPTANCES.bind(request, Acceptance.objects.visible_to(request.membership))
    if table.wants_csv:
        return table.csv()
    page = "subscribers/_acceptances.html" if request.partial else "subscribers/acceptances.html"
    return render(request, page, {"table": table, "tab": "agreements", "kinds": dict(AgreementKind.choices)})
