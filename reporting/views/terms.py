"""What other commission terms would do, as a part of the review of a change."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from editing.models import Change
from editing.targets import PORTFOLIO, STRATEGY
from reporting.commission.policy import Scheme, Terms, read_terms
from reporting.commission.services import calendar_of
from reporting.commission.since import words_of_change
from reporting.models import AccrualState
from subscribers.models import Subscriber
from users.permissions import may_manage
from users.requests import MemberRequest

IN_MONEY = (Scheme.FLAT_FEE, Scheme.LOTS_TRADED, Scheme.LOTS_WON)


@require_safe
@may_manage
def commission_change(request: MemberRequest, pk: int) -> HttpResponse:
    """From when a proposed commission would be charged, and in which currencies."""
    own = Change.objects.visible_to(request.membership).filter(kind__in=(STRATEGY, PORTFOLIO))
    change = get_object_or_404(own, pk=pk)
    before, after = read_terms(change.before), read_terms(change.after)
    state = AccrualState.objects.filter(connection_id=change.connection_id, strategy_id=change.backend_id).first()
    stored = state.terms_since if state else {}
    sentences = words_of_change(stored, before, after, calendar_of(request.workspace), timezone.now())
    sentences += currency_words(change, after)
    page = "reporting/_commission_change.html" if request.partial else "reporting/commission_change.html"
    return render(request, page, {"sentences": sentences, "change": change})


def currency_words(change: Change, terms: Terms | None) -> list[str]:
    """A warning where an amount of money means something else at each account: 25 USD and 25 JPY."""
    if terms is None or terms.scheme not in IN_MONEY:
        return []
    accounts = Subscriber.objects.filter(
        connection_id=change.connection_id,
        is_removed=False,
        subscriptions__strategy_backend_id=change.backend_id,
        subscriptions__is_removed=False,
    )
    currencies = sorted(set(accounts.exclude(currency="").values_list("currency", flat=True)))
    if len(currencies) < 2:
        return []
    amounts = [f"{terms.rate.normalize():f} {currency}" for currency in currencies]
    return [f"The same number is charged in each account's currency: {', '.join(amounts[:-1])} and {amounts[-1]}."]
