"""Pages that set terms the backend does not know: rates by currency, and the rules of a high-water mark.

Each is asked twice: a look at what it does, then saving. Nothing is sent to the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import Http404
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from reporting.commission.beginning import default_choice
from reporting.commission.comparing import OpenPeriod, account_of, compare_open_periods, example_of
from reporting.commission.effect import ProposedTerms, effect_of
from reporting.commission.history import SpannedCalendar
from reporting.commission.money import money_text
from reporting.commission.policy import IN_MONEY, Policy, Scheme, Terms
from reporting.commission.setting import beginning_of, may_cost_more, set_terms, terms_known
from reporting.commission.versions import KnownTerms, clients_of, terms_of
from reporting.commission.wording import RULES, rates_words
from reporting.forms import BeginningForm
from reporting.models import Subject
from reporting.term_forms import MarkForm, RatesForm
from reporting.views.terms import CONSENT_ADVISED, CONSENT_REQUIRED
from strategies.models import Strategy
from strategies.pages import page_of, visible_strategy
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.once import once
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest


def beginning_form(request: MemberRequest, strategy: Strategy, known: KnownTerms, now: datetime) -> BeginningForm:
    """From when; asked together with what."""
    today = SpannedCalendar.of(known.calendar).day_of(now)
    chosen = default_choice(has_clients=clients_of(strategy.connection_id, strategy.backend_id))
    return BeginningForm(request.POST if request.method == "POST" else None, chosen=chosen, today=today)


def newest_terms(known: KnownTerms) -> Terms | None:
    return terms_of(known.commissions[-1].terms) if known.commissions else None


def consent_words(request: MemberRequest, *, costs_more: bool) -> list[str]:
    if not costs_more:
        return []
    return [CONSENT_REQUIRED if request.workspace.asks_consent else CONSENT_ADVISED]


# --- Rates by currency ------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def rates(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What accounts of each currency pay where the fee is an amount of money."""
    strategy, now = visible_strategy(request, pk), timezone.now()
    known = terms_known(strategy)
    terms = newest_terms(known)
    if terms is None or terms.scheme not in IN_MONEY:
        return render(request, "reporting/strategy_rates.html", page_of(strategy, "commission", form=None))
    newest = known.of(Subject.RATES)[-1:]
    stored: Mapping[str, str] = newest[0].terms["rates"] if newest and newest[0].terms["scheme"] == terms.scheme else {}
    form = RatesForm(
        request.POST if request.method == "POST" else None,
        currencies=sorted({*currencies_of(request, strategy), *stored}),
        rates=stored,
        plain=f"{terms.rate.normalize():f}",
    )
    start = beginning_form(request, strategy, known, now)
    sentences: list[str] = []
    if request.method == "POST" and form.is_valid() and start.is_valid():
        content = {"scheme": str(terms.scheme), "rates": form.rates}
        if form.rates == dict(stored):
            form.add_error(None, "Nothing was changed.")
        elif request.POST.get("step") == "save":
            set_terms(strategy, Subject.RATES, content, choice=start.choice, by=request.user, now=now)
            messages.success(request, "Saved: see “Fee history”.")
            return redirect("reporting:strategy-terms", strategy.pk)
        else:
            begins = beginning_of(strategy, known.without_plans(Subject.RATES, now), start.choice, now)
            sentences = rates_effect(known, terms, stored, form.rates, begins, now)
            sentences += consent_words(request, costs_more=may_cost_more(known, Subject.RATES, content))
    context = page_of(strategy, "commission", form=form, start=start, sentences=sentences)
    context["now_charged"] = rates_words({"scheme": str(terms.scheme), "rates": stored})
    return render(request, "reporting/strategy_rates.html", context, status=422 if form.errors or start.errors else 200)


def currencies_of(request: MemberRequest, strategy: Strategy) -> set[str]:
    """Currencies of the accounts that copy the strategy."""
    accounts = Subscriber.objects.visible_to(request.membership).filter(
        connection_id=strategy.connection_id,
        is_removed=False,
        subscriptions__strategy_backend_id=strategy.backend_id,
        subscriptions__is_removed=False,
    )
    return set(accounts.exclude(currency="").values_list("currency", flat=True))


def rates_effect(
    known: KnownTerms,
    terms: Terms,
    stored: Mapping[str, str],
    proposed: Mapping[str, str],
    begins: datetime,
    now: datetime,
) -> list[str]:
    """What other rates do, in sentences."""
    plain = f"{terms.rate.normalize():f}"
    changes = [
        f"{currency}: {proposed.get(currency, plain)} instead of {stored.get(currency, plain)}."
        for currency in sorted({*stored, *proposed})
        if proposed.get(currency, plain) != stored.get(currency, plain)
    ]
    before, after = (
        Terms(
            terms.scheme, terms.rate, terms.billing_period, rates=tuple((c, Decimal(r)) for c, r in sorted(own.items()))
        )
        for own in (stored, proposed)
    )
    effects = effect_of(ProposedTerms(before, after, begins), known.calendar, now)
    return changes + [sentence for sentence in effects if "backend" not in sentence]


# --- High-water mark --------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
@once
def mark(request: MemberRequest, pk: int) -> HttpResponseBase:
    """The rules of a strategy's high-water mark, or of one client's (`?subscriber=`), with what each would cost."""
    strategy, now = visible_strategy(request, pk), timezone.now()
    client = chosen_client(request, strategy)
    client_id = client.backend_id if client else ""
    known, account = terms_known(strategy), account_of(strategy, now)
    terms = newest_terms(known)
    if terms is None or account is None or terms.scheme is not Scheme.HIGH_WATER_MARK:
        return render(
            request, "reporting/strategy_mark.html", page_of(strategy, "commission", form=None, client=client)
        )
    policies = known.policies(client_id)
    policy = policies[-1][1] if policies else Policy()
    own = known.of(Subject.POLICY, client_id)[-1:] if client else []
    follows = client is not None and not (own and own[0].terms)
    data = request.POST if request.method == "POST" else None
    form = MarkForm(data, policy=policy, follows=follows, is_own=client is not None)
    start = beginning_form(request, strategy, known, now)
    sentences: list[str] = []
    chosen = policy
    if request.method == "POST" and form.is_valid() and start.is_valid():
        chosen, content = proposed_policy(known, form, client_id)
        if (chosen, form.follows) == (policy, follows):
            form.add_error(None, "Nothing was changed.")
        elif request.POST.get("step") == "save":
            set_terms(
                strategy,
                Subject.POLICY,
                content,
                choice=start.choice,
                by=request.user,
                now=now,
                subscriber_id=client_id,
            )
            messages.success(request, "Saved: see “Fee history”.")
            return redirect("reporting:strategy-terms", strategy.pk)
        else:
            begins = beginning_of(strategy, known.without_plans(Subject.POLICY, now), start.choice, now)
            sentences = mark_effect(known, begins, now)
            sentences += open_period_words(compare_open_periods(account, chosen, begins, now, client_id), begins, now)
            costs_more = may_cost_more(known, Subject.POLICY, content, client_id)
            sentences += consent_words(request, costs_more=costs_more)
    example = example_of(account, chosen, now, client_id)
    context = page_of(
        strategy, "commission", form=form, start=start, sentences=sentences, client=client, example=example
    )
    context["rules"] = [(name, example.fees[name] if example else {}) for name in RULES]
    return render(request, "reporting/strategy_mark.html", context, status=422 if form.errors or start.errors else 200)


def chosen_client(request: MemberRequest, strategy: Strategy) -> Subscriber | None:
    """The client in the address; 404 where there is none such."""
    if not request.GET.get("subscriber"):
        return None
    accounts = Subscriber.objects.visible_to(request.membership).filter(connection_id=strategy.connection_id)
    number = row_id(request.GET["subscriber"])
    if number is None:
        raise Http404
    return get_object_or_404(accounts, pk=number)


def proposed_policy(known: KnownTerms, form: MarkForm, client_id: str) -> tuple[Policy, dict[str, Any]]:
    """What was chosen, and how a version keeps it: empty where a client follows the strategy."""
    if form.follows:
        policies = known.policies()
        return (policies[-1][1] if policies else Policy()), {}
    version = (
        len([policy_version for policy_version in known.of(Subject.POLICY, client_id) if policy_version.terms]) + 1
    )
    policy = form.policy
    return policy, policy.serialise() | {"name": "client" if client_id else "strategy", "version": version}


def mark_effect(known: KnownTerms, begins: datetime, now: datetime) -> list[str]:
    """From when other rules hold."""
    calendar = SpannedCalendar.of(known.calendar)
    when = "the moment it is saved" if begins <= now else f"the beginning of {calendar.day_of(begins)}"
    cut = (
        []
        if begins == calendar.containing(begins).start
        else ["New profit of the running period is measured and charged at that moment; the mark goes on from there."]
    )
    return [
        f"The mark is measured by the new rules from {when}, by the earlier ones until then.",
        *cut,
        "Periods that have ended stay as they are.",
    ]


def open_period_words(compared: OpenPeriod, begins: datetime, now: datetime) -> list[str]:
    """What the open periods come to."""
    whose = f"{compared.clients} clients" if compared.clients != 1 else "1 client"
    whose = whose if compared.is_whole else f"the first {whose}"
    words = [
        f"{money_text(compared.after[currency], currency)} instead of {money_text(compared.before[currency], currency)}"
        for currency in sorted({*compared.before, *compared.after})
        if compared.after[currency] != compared.before[currency]
    ]
    if begins > now or not words:
        return [f"What has accrued in the open periods of {whose} stays as it is."]
    return [f"The open periods of {whose} come to {', '.join(words)}."]
