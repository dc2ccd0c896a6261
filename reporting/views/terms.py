"""The terms of a strategy: what another commission would do and from when it is to hold, and their history."""

from __future__ import annotations

from collections import Counter

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from editing.models import Change
from editing.targets import PORTFOLIO, STRATEGY
from reporting.commission.beginning import begins_at, default_choice, is_rise
from reporting.commission.consent import asks, read_answers, to_answer
from reporting.commission.effect import ProposedTerms, effect_of
from reporting.commission.history import SpannedCalendar
from reporting.commission.policy import IN_MONEY, Scheme, Terms
from reporting.commission.services import calendar_of
from reporting.commission.versions import KnownTerms, clients_of, commission_of, known_terms, terms_of
from reporting.commission.wording import history_in_words, plan_words
from reporting.forms import BeginningForm
from reporting.models import Subject, TermsVersion
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from subscribers.models import Subscriber
from users.permissions import may_manage, staff_only
from users.requests import MemberRequest

CONSENT_REQUIRED = (
    "Clients may pay more than before: each keeps the earlier terms until you have recorded its consent"
    " under “Fee history”."
)
CONSENT_ADVISED = "Clients may pay more than before: make sure that they agreed."


@require_http_methods(["GET", "POST"])
@may_manage
def commission_change(request: MemberRequest, pk: int) -> HttpResponse:
    """From when a proposed commission is to be charged, what that does, and in which currencies."""
    own = Change.objects.visible_to(request.membership).filter(kind__in=(STRATEGY, PORTFOLIO))
    change = get_object_or_404(own, pk=pk)
    has_clients = clients_of(change.connection_id, change.backend_id)
    today = calendar_of(request.workspace).day_of(timezone.now())
    chosen = change.terms_from or default_choice(has_clients=has_clients)
    is_open = change.saved_at is None and not change.is_in_flight
    sent = request.POST if request.method == "POST" else None  # an empty form is an answer, too
    form = BeginningForm(sent, chosen=chosen, today=today)
    if request.method == "POST" and is_open and form.is_valid():
        change.terms_from = chosen = form.choice
        change.save(update_fields=["terms_from"])
        if not request.partial:
            return redirect("editing:change", change.pk)
        form = BeginningForm(None, chosen=chosen, today=today)
    page = "reporting/_commission_change.html" if request.partial else "reporting/commission_change.html"
    sentences = review_of(request, change, chosen, has_clients=has_clients)
    context = {"sentences": sentences, "change": change, "form": form if is_open and change.before else None}
    return render(request, page, context, status=422 if form.errors else 200)


def review_of(request: MemberRequest, change: Change, chosen: str, *, has_clients: bool) -> list[str]:
    """What the change does, in sentences; nothing where what is charged stays as it is.

    chosen: from when, as `reporting.commission.beginning` writes it.
    """
    documents = (change.before, change.after)
    stated, proposed = (commission_of(document.get("commissionScheme") or {}) for document in documents)
    if stated == proposed:
        return []
    decided_at = change.saved_at or timezone.now()
    known = terms_before(request, change)
    before = known.without_plans(Subject.COMMISSION, decided_at)
    begins = begins_at(chosen, before.calendar, decided_at, has_clients=has_clients)
    charged = before.commission_before(begins)  # where a plan was made, the document says what is not charged yet
    terms = terms_of(proposed)
    sentences = effect_of(ProposedTerms(terms_of(charged), terms, begins), before.calendar, decided_at)
    plan = known.plan(decided_at) if change.saved_at is None else None
    if plan is not None:
        begins_on = SpannedCalendar.of(before.calendar).day_of(plan.valid_from or decided_at)
        sentences.insert(0, plan_words(plan, begins_on))
    if has_clients and is_rise(charged, proposed):
        sentences.append(CONSENT_REQUIRED if request.workspace.asks_consent else CONSENT_ADVISED)
    return sentences + currency_words(change, terms)


def terms_before(request: MemberRequest, change: Change) -> KnownTerms:
    """The versions of the strategy's terms; without any, what the document says that is changed."""
    rows = TermsVersion.objects.visible_to(request.membership).filter(
        connection_id=change.connection_id, strategy_id=change.backend_id
    )
    if versions := list(rows):
        return known_terms(versions)
    stated = commission_of(change.before.get("commissionScheme") or {})
    if not stated["scheme"]:  # what begins is billed as it says
        stated["billing_period"] = commission_of(change.after.get("commissionScheme") or {})["billing_period"]
    calendar = calendar_of(request.workspace)
    zone = {"zone": calendar.zone, "week_starts_monday": calendar.week_starts_monday}
    return known_terms(
        TermsVersion(subject=subject, terms=terms, number=number, seen_at=change.proposed_at)
        for number, (subject, terms) in enumerate([(Subject.COMMISSION, stated), (Subject.CALENDAR, zone)], 1)
    )


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


@require_safe
@staff_only
def strategy_terms(request: MemberRequest, pk: int) -> HttpResponse:
    """The terms of a strategy, from when to when each held, and who set them."""
    strategy = visible_strategy(request, pk)
    rows = TermsVersion.objects.visible_to(request.membership).filter(
        connection_id=strategy.connection_id, strategy_id=strategy.backend_id
    )
    versions = list(rows.select_related("set_by", "change").order_by("-number"))
    names = dict(
        Strategy.objects.visible_to(request.membership)
        .filter(connection_id=strategy.connection_id)
        .values_list("backend_id", "name")
    )
    entries = history_in_words(versions, names, timezone.now())
    known = known_terms(versions)
    answers = read_answers(strategy.connection_id, [strategy.backend_id])[strategy.backend_id] if asks(known) else {}
    waiting = Counter(version.pk for client in answers.values() for version in to_answer(known, client))
    context = page_of(strategy, "commission", entries=entries, waiting=waiting)
    context["may_set"] = None
    newest = terms_of(known.commissions[-1].terms) if known.commissions else None
    if newest is not None and newest.scheme in IN_MONEY:
        context["may_set"] = ("strategy-rates", "Set rates by currency")
    elif newest is not None and newest.scheme is Scheme.HIGH_WATER_MARK:
        context["may_set"] = ("strategy-mark", "Set the rules of the high-water mark")
    return render(request, "reporting/strategy_terms.html", context)
