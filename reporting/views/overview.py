"""The overview: is everything all right, and what did we earn?"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from users.permissions import member_only, staff_only


@require_safe
@member_only
def overview(request: HttpRequest) -> HttpResponse:
    """The first page of staff; a subscriber is taken to their own."""
    if not request.membership.is_staff_role:
        return redirect("/me/")
    return render(request, "reporting/overview.html", {})


@require_safe
@staff_only
def equity(request: HttpRequest) -> HttpResponse:
    """The equity curve."""
    return JsonResponse([], safe=False)
