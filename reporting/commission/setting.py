"""Terms that are set here and that the backend does not know: rates by currency, and the rules of a high-water mark."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from reporting.commission.beginning import begins_at, costs_no_more, is_rise, periods_of_year
from reporting.commission.fee_terms import FOLLOWS, FeeTerms
from reporting.commission.fees import costs_more
from reporting.commission.policy import Policy
from reporting.commission.versions import KnownTerms, clients_of, known_terms
from reporting.models import AccrualState, Subject, TermsSource, TermsVersion
from strategies.models import Strategy
from subscribers.models import Subscription
from users.models import User
from users.services import record_audit

ATTEMPTS = 3


def terms_known(strategy: Strategy) -> KnownTerms:
    """The versions of a strategy's terms that hold at some time."""
    rows = TermsVersion.objects.filter(connection_id=strategy.connection_id, strategy_id=strategy.backend_id)
    return known_terms(rows.order_by("number"))


def beginning_of(strategy: Strategy, known: KnownTerms, choice: str, now: datetime) -> datetime:
    """From when terms hold that are set now; never inside what was settled."""
    has_clients = clients_of(strategy.connection_id, strategy.backend_id)
    begins = begins_at(choice, known.calendar, now, has_clients=has_clients)
    state = AccrualState.objects.filter(connection_id=strategy.connection_id, strategy_id=strategy.backend_id).first()
    return max(begins, state.settled_until) if state and state.settled_until else begins


def set_terms(
    strategy: Strategy,
    subject: Subject,
    terms: Mapping[str, Any],
    *,
    choice: str,
    by: User | None,
    now: datetime,
    subscriber_id: str = "",
) -> TermsVersion:
    """Add a version. choice: from when, as `beginning` writes it. subscriber_id: where it is of one client alone."""
    for attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                version = _add(strategy, subject, terms, choice, by, now, subscriber_id)
        except IntegrityError:  # a sync noted another change with the same number
            if attempt == ATTEMPTS - 1:
                raise
        else:
            break
    details = {"terms": version.number, "client": subscriber_id, "from": str(version.valid_from)}
    record_audit(
        strategy.workspace,
        user=by,
        action="terms set",
        subject=f"{strategy.name}: {Subject(subject).label}",
        details=details | {"content": dict(terms)},
    )
    return version


def _add(
    strategy: Strategy,
    subject: Subject,
    terms: Mapping[str, Any],
    choice: str,
    by: User | None,
    now: datetime,
    subscriber_id: str,
) -> TermsVersion:
    known = terms_known(strategy).without_plans(subject, now)
    versions = TermsVersion.objects.filter(connection_id=strategy.connection_id, strategy_id=strategy.backend_id)
    newest = versions.order_by("-number").first()
    begins = beginning_of(strategy, known, choice, now)
    running = Subscription.objects.filter(
        subscriber__connection_id=strategy.connection_id, strategy_backend_id=strategy.backend_id, is_removed=False
    )
    if subscriber_id:
        running = running.filter(subscriber__backend_id=subscriber_id)
    has_clients = running.exists()
    return TermsVersion.objects.create(
        workspace_id=strategy.workspace_id,
        connection_id=strategy.connection_id,
        strategy_id=strategy.backend_id,
        subscriber_id=subscriber_id,
        subject=subject,
        number=(newest.number if newest else 0) + 1,
        valid_from=begins,
        terms=dict(terms),
        source=TermsSource.PORTAL,
        set_by=by,
        seen_at=now,
        needs_consent=has_clients and may_cost_more(known, subject, terms, subscriber_id),
        asks_consent=has_clients and strategy.workspace.asks_consent,
    )


def may_cost_more(known: KnownTerms, subject: Subject, terms: Mapping[str, Any], subscriber_id: str = "") -> bool:
    """Whether somebody may pay more by it than by what is charged before."""
    if subject == Subject.POLICY:
        policies = known.policies(subscriber_id)
        before = policies[-1][1] if policies else Policy()
        after = Policy.parse(dict(terms)) if terms else next((p for _, p in reversed(known.policies())), Policy())
        return not costs_no_more(before, after)
    charged = known.commissions[-1].terms if known.commissions else {"scheme": "", "rate": "0"}
    if subject == Subject.FEES:
        return fees_may_cost_more(known, terms, subscriber_id, charged)
    newest = known.of(Subject.RATES)[-1:]
    before_rates = newest[0].terms["rates"] if newest and newest[0].terms["scheme"] == charged["scheme"] else {}
    currencies = {*before_rates, *terms["rates"]}
    return any(
        float(terms["rates"].get(currency, charged["rate"])) > float(before_rates.get(currency, charged["rate"]))
        for currency in currencies
    )


def newest_fees(known: KnownTerms, subscriber_id: str = "") -> FeeTerms:
    """What was decided on last beside the commission; a plan counts."""
    fees = known.fees(subscriber_id)
    return fees[-1].terms if fees else FeeTerms()


def fees_may_cost_more(
    known: KnownTerms, terms: Mapping[str, Any], subscriber_id: str, charged: Mapping[str, Any]
) -> bool:
    """Whether a client that is there may pay more by other fees beside the commission. charged: the commission."""
    before = newest_fees(known, subscriber_id)
    after = newest_fees(known) if FOLLOWS in terms else FeeTerms.parse(terms)
    rates = [
        fees.rate if fees.rate is not None and fees.rate_scheme == charged["scheme"] else Decimal(charged["rate"])
        for fees in (before, after)
    ]
    lengths = [fees.billing_period or charged.get("billing_period", "month") for fees in (before, after)]
    by_length = [dict(charged) | {"billing_period": length} for length in lengths]
    if subscriber_id:  # periods are cut for all clients alike
        return rates[1] > rates[0] or costs_more(before, after)
    return rates[1] > rates[0] or is_rise(*by_length) or costs_more(before, after, periods=periods_of_year(*by_length))
