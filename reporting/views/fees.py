"""The page that sets fees beside a strategy's commission, and what lowers its rate: for all clients, or for one.

They are the portal's own terms: nothing is sent to the backend, whose figures do not have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from reporting.commission.fee_terms import FOLLOWS, FeeTerms
from reporting.commission.history import SpannedCalendar
from reporting.commission.policy import IN_MONEY, Scheme, Terms
from reporting.commission.setting import beginning_of, may_cost_more, newest_fees, set_terms, terms_known
from reporting.commission.versions import KnownTerms
from reporting.commission.wording import fee_words
from reporting.models import Subject, SubscriptionLifetime
from reporting.term_forms import FeesForm
from reporting.views.setting import beginning_form, chosen_client, consent_words, currencies_of, newest_terms
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.once import once
from users.permissions import may_manage
from users.requests import MemberRequest


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def fees(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Management and joining fee, discount, free days, minimum and cap; of a client (`?subscriber=`) also its rate."""
    strategy, now = visible_strategy(request, pk), timezone.now()
    client = chosen_client(request, strategy)
    known = terms_known(strategy)
    before = decided_fees(known, client)
    form = fees_form(request, strategy, known, client, before)
    start = beginning_form(request, strategy, known, now)
    sentences: list[str] = []
    if request.method == "POST" and form.is_valid() and start.is_valid():
        content = {FOLLOWS: True} if form.follows else form.terms.serialise()
        if content == content_before(known, client, before):
            form.add_error(None, "Nothing was changed.")
        elif request.POST.get("step") == "save":
            set_terms(
                strategy,
                Subject.FEES,
                content,
                choice=start.choice,
                by=request.user,
                now=now,
                subscriber_id=client.backend_id if client else "",
            )
            messages.success(request, "Saved: see “Fee history”.")
            return redirect("reporting:strategy-terms", strategy.pk)
        else:
            begins = beginning_of(strategy, known.without_plans(Subject.FEES, now), start.choice, now)
            after = fees_of_client(newest_fees(known)) if form.follows else form.terms
            sentences = list(fee_effect(known, before, after, begins, now))
            costs_more = may_cost_more(known, Subject.FEES, content, client.backend_id if client else "")
            sentences += consent_words(request, costs_more=costs_more)
    context = page_of(strategy, "commission", form=form, start=start, sentences=sentences, client=client)
    context["now_charged"] = fee_words(before.serialise())
    return render(request, "reporting/strategy_fees.html", context, status=422 if form.errors or start.errors else 200)


def decided_fees(known: KnownTerms, client: Subscriber | None) -> FeeTerms:
    """What was decided on last, for all clients or for one."""
    return fees_of_client(newest_fees(known, client.backend_id)) if client else newest_fees(known)


def fees_of_client(fees: FeeTerms) -> FeeTerms:
    """Without the billing period: periods are cut for all clients alike, whatever the terms of one say."""
    return replace(fees, billing_period="")


def content_before(known: KnownTerms, client: Subscriber | None, before: FeeTerms) -> dict[str, Any]:
    """What the newest version says; a client without one follows the strategy."""
    own = known.of(Subject.FEES, client.backend_id)[-1:] if client else []
    if client and not (own and FOLLOWS not in own[0].terms):
        return {FOLLOWS: True}
    return before.serialise()


def fees_form(
    request: MemberRequest, strategy: Strategy, known: KnownTerms, client: Subscriber | None, before: FeeTerms
) -> FeesForm:
    terms = newest_terms(known)
    if client is not None:
        currencies = {client.currency} - {""}
    else:
        currencies = currencies_of(request, strategy) or {request.workspace.reporting_currency}
    stays = SubscriptionLifetime.objects.filter(
        connection_id=strategy.connection_id,
        strategy_id=strategy.backend_id,
        subscriber_id=client.backend_id if client else "",
    )
    return FeesForm(
        request.POST if request.method == "POST" else None,
        fees=before,
        currencies=sorted(currencies),
        scheme=str(terms.scheme) if terms else "",
        plain=rate_text(terms, client.currency if client else ""),
        is_own=client is not None,
        follows=FOLLOWS in content_before(known, client, before),
        has_begun=stays.exists(),
    )


def rate_text(terms: Terms | None, currency: str) -> str:
    """The rate of the commission for accounts of a currency."""
    if terms is None:
        return ""
    rate = terms.in_currency(currency).rate
    return f"{rate.normalize():f}" if terms.scheme in IN_MONEY else f"{(rate * 100).normalize():f} %"


def fee_effect(known: KnownTerms, before: FeeTerms, after: FeeTerms, begins: datetime, now: datetime) -> Iterator[str]:
    """What other fees do, in sentences."""
    calendar = SpannedCalendar.of(known.calendar)
    when = "the moment it is saved" if begins <= now else f"the beginning of {calendar.day_of(begins)}"
    yield f"From {when}: {fee_words(after.serialise())}. Until then: {fee_words(before.serialise())}."
    if (before.discount, before.rate) != (after.discount, after.rate):
        yield "Deals and days from then on are charged at the new rate, earlier ones at the old one, also late ones."
        terms = newest_terms(known)
        if terms and terms.scheme is Scheme.HIGH_WATER_MARK and begins != calendar.containing(begins).start:
            yield "New profit of the running period is measured and charged at that moment; the mark goes on from it."
    if after.management:
        yield (
            "The management fee is counted on the equity that was last read on each day. A day on which none was read "
            "waits, and is charged when it is known. A share of new profit is owed only above it."
        )
    if after.joining or after.trial_days:
        yield "Joining fee and free days are for clients who begin from then on."
    if before.billing_period != after.billing_period and begins != calendar.containing(begins).start:
        yield "The running period ends there. A fixed fee of either length is owed by days, new profit is charged then."
    if after.minimum or after.cap:
        yield "Minimum and cap count for billing periods that begin from then on, without the joining fee."
    yield "The backend knows none of this: what it says beside these figures differs."
