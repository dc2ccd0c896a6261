"""The search of the top bar: strategies and subscribers by name or backend id."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from strategies.models import Strategy
from subscribers.models import Subscriber
from users.permissions import staff_only
from users.requests import MemberRequest

MOST_HITS = 20
LONGEST_QUERY = 100


@require_safe
@staff_only
def search(request: MemberRequest) -> HttpResponse:
    """The first matches of each kind; nothing typed is no match."""
    query = request.GET.get("q", "").replace("\x00", "").strip()[:LONGEST_QUERY]
    wanted = Q(name__icontains=query) | Q(backend_id__icontains=query)
    strategies = Strategy.objects.visible_to(request.membership).filter(wanted).order_by("name")
    subscribers = Subscriber.objects.visible_to(request.membership).filter(wanted).order_by("name")
    if not query:
        strategies, subscribers = strategies.none(), subscribers.none()
    strategies, subscribers = strategies[:MOST_HITS], subscribers[:MOST_HITS]
    context = {"query": query, "strategies": list(strategies), "subscribers": list(subscribers), "most": MOST_HITS}
    return render(request, "reporting/search.html", context)
