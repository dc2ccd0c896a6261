"""Work on many accounts in the browser: what was ticked on a list, and what is to be done to it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from editing.models import BulkEdit
from strategies.models import Strategy
from strategies.pages import visible_strategy
from subscribers import selection
from subscribers.bulk_forms import FORMS
from users.leading import wanted_path
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest

MOST_NAMED = 12


@require_POST
@may_manage
def choose(request: MemberRequest) -> HttpResponse:
    """Keep what was ticked, or all that the list shows, and ask what is to be done to it."""
    origin = wanted_path(request, reverse("subscribers:list"))
    strategy = chosen_strategy(request)
    query = QueryDict(request.POST.get("query", ""), mutable=True)
    for name in ("after", "before", "newer", "format"):
        query.pop(name, None)
    if request.POST.get("which") == "all":
        accounts = selection.listed(request.membership, query.urlencode(), strategy)
    else:
        accounts = selection.ticked(request.membership, request.POST.getlist("ids"))
    try:
        bulk = selection.choose(
            request.membership, accounts, by=request.user, strategy=strategy, origin=origin, now=timezone.now()
        )
    except selection.Unfit as error:
        messages.error(request, error.text)
        return redirect(origin)
    return redirect("subscribers:choose-act", bulk.pk)


def chosen_strategy(request: MemberRequest) -> Strategy | None:
    """The strategy whose subscribers the list shows, or 404; None: it shows all."""
    pk = request.POST.get("strategy", "")
    return visible_strategy(request, row_id(pk) or 0) if pk else None


@require_http_methods(["GET", "HEAD", "POST"])
@may_manage
def choose_act(request: MemberRequest, pk: int) -> HttpResponse:
    """What is to be done to the chosen accounts, then to the review."""
    own = BulkEdit.objects.visible_to(request.membership).select_related("workspace")
    bulk = get_object_or_404(own, pk=pk)
    if bulk.started_at is not None or bulk.undoes_id is not None:
        return redirect("editing:bulk", pk)
    only, options = bulk.request.get("only", ""), selection.strategies_in(bulk)
    sent = request.POST.get("form", "")
    forms = [
        form(request.POST if request.method == "POST" and sent == form.act else None, strategies=options, only=only)
        for form in FORMS
    ]
    if request.method == "POST":
        form = next((form for form in forms if form.act == sent), None)
        if form is not None and form.is_valid():
            selection.plan(bulk, form.request)
            return redirect("editing:bulk", pk)
    names = list(bulk.rows.order_by("number").values_list("name", flat=True)[:MOST_NAMED])
    context = {
        "bulk": bulk,
        "forms": forms,
        "names": names,
        "total": bulk.rows.count(),
        "of": selection.name_of(bulk, only) if only else "",
    }
    return render(request, "subscribers/bulk.html", context, status=422 if request.method == "POST" else 200)
