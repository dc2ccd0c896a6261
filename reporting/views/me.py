"""A subscriber's own page: each of their accounts with its results, what it copies, its stopouts and its commission."""

from __future__ import annotations

from datetime import datetime

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from copying.engine.model import Level
from editing.terms import UnreadableTerms, chain_settings
from reporting import performance
from reporting.commission.asking import questions_of
from reporting.commission.billing import owed_by_subscription
from reporting.commission.wording import CHARGES
from reporting.models import Statement, Transaction
from reporting.overview import RANGES
from reporting.views.commissions import chosen_span, totals_by_currency
from reporting.views.overview import chosen_range
from reporting.views.subscribers import curve_of, figures_of
from subscribers.agreements import asked_of
from subscribers.causes import cause_of, is_endless
from subscribers.effective import leaf_chains, strategies_of
from subscribers.models import Subscriber, Subscription
from subscribers.own import acts_of
from subscribers.views import limits_part
from users.permissions import subscriber_only
from users.requests import MemberRequest

LATEST = 10
LATEST_STATEMENTS = 5
MOST_STOPOUTS = 20
# what a client wants to know of the terms, in this order
TOLD = (
    "Ratio",
    "Trade size",
    "Direction",
    "Sides",
    "Symbols",
    "Largest trade",
    "Risk per trade",
    "Stop loss",
    "Take profit",
    "New trades",
    "Risk limit",
)


def chosen_account(request: MemberRequest, accounts: list[Subscriber]) -> Subscriber | None:
    """The account in the URL, else the first. Raises Http404 for one that is not theirs."""
    wanted = request.GET.get("account", "")
    if not wanted:
        return accounts[0] if accounts else None
    for account in accounts:
        if str(account.pk) == wanted:
            return account
    raise Http404


def plain_terms(subscription: Subscription, account: Subscriber, strategies: dict) -> list:
    """The terms of a subscription that a client wants to know; none where they cannot be read."""
    chains = leaf_chains(subscription.strategy_backend_id, strategies)
    below = [(Level.SUBSCRIPTION, subscription.document), (Level.SUBSCRIBER, account.document)]
    chain = chains[0][1] if len(chains) == 1 else [(Level.PORTFOLIO, _document(subscription, strategies))]
    try:
        settings = chain_settings([*chain, *below])
    except UnreadableTerms:
        return []
    shown = [
        setting
        for setting in settings
        if setting.label in TOLD and (setting.source or setting.label in ("Ratio", "Trade size"))
    ]
    return sorted(shown, key=lambda setting: TOLD.index(setting.label))


def _document(subscription: Subscription, strategies: dict) -> dict:
    strategy = strategies.get(subscription.strategy_backend_id)
    return strategy.document if strategy else {}


def to_answer(request: MemberRequest, now: datetime) -> int:
    """How many texts and fees wait for the client's answer."""
    texts = sum(row.is_waiting for row in asked_of(request.membership))
    return texts + sum(not question.is_refused for question in questions_of(request.membership, now))


@require_safe
@subscriber_only
def me(request: MemberRequest) -> HttpResponse:
    """One of the person's accounts, or the part of its page that refreshes itself; another is chosen by its link."""
    accounts = list(Subscriber.objects.visible_to(request.membership).order_by("name", "pk"))
    account = chosen_account(request, accounts)
    now, span = timezone.now(), chosen_span(request)
    waiting = to_answer(request, now)
    if account is None:
        return render(request, "reporting/me.html", {"accounts": [], "account": None, "to_answer": waiting})
    whole = None if request.partial else curve_of(account)  # what refreshes itself shows no curve
    strategies = strategies_of(account.connection_id)
    stopouts = list(account.stopouts.select_related("strategy").order_by("-stopped_at", "-id")[:MOST_STOPOUTS])
    only = {"connection_id": account.connection_id, "subscriber_id": account.backend_id}
    rows = owed_by_subscription(request.membership, span, now, **only)
    latest = Transaction.objects.visible_to(request.membership).filter(**only).order_by("-time", "-id")[:LATEST]
    statements = Statement.objects.visible_to(request.membership).with_balance().filter(**only).order_by("-pk")
    context = {
        "accounts": accounts,
        "account": account,
        "copied": [(row, plain_terms(row, account, strategies)) for row in account.current_subscriptions()],
        "stopouts": [
            (row, row.ended_at is None and row.stopped_till > now, cause_of(row.reason), is_endless(row.stopped_till))
            for row in stopouts
        ],
        "acts": acts_of(account),
        "to_answer": waiting,
        "subscriber": account,
        **limits_part(account),
        "statements": list(statements[:LATEST_STATEMENTS]),
        "latest": list(latest.select_related("strategy")),
        "rows": rows,
        "by_currency": totals_by_currency(rows),
        "span": span,
        "schemes": CHARGES,
        "ranges": list(RANGES),
        "range": chosen_range(request),
        **figures_of(account, whole),
    }
    if whole is None:
        return render(request, "reporting/_me.html", context)
    return render(request, "reporting/me.html", {**context, "heat_map": performance.heat_map(whole)})
