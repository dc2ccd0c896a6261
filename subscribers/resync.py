"""Resynchronising an account: what is open at the provider and missing at the account is opened late.

Positions that somebody closed by hand open again, so what is missing is counted first and the name has to be typed.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from copying.client import Client, ClientError
from copying.contract.documents import TradingSignal
from editing.backend import NotDone, Unconfirmed, backend_of
from subscribers.models import Subscriber
from subscribers.pages import page_of, visible_subscriber
from users.models import User
from users.once import once
from users.permissions import may_manage
from users.requests import MemberRequest
from users.services import record_audit

MOST_SIGNALS = 500


@dataclass(frozen=True)
class Wanted:
    """What to resynchronise; both empty: everything."""

    strategies: list[str]
    positions: list[str]

    def holds(self, signal: TradingSignal) -> bool:
        """Whether it concerns a signal."""
        if self.strategies and signal.strategy.id not in self.strategies:
            return False
        return not self.positions or signal.position_id in self.positions


def is_missing(signal: TradingSignal) -> bool:
    """Open at the provider, not at the account, and not one that is only closed."""
    return not signal.subscriber_volume and not signal.close_only and signal.side != "close"


def resynchronise(subscriber: Subscriber, wanted: Wanted, *, client: Client, by: User | None) -> None:
    """Ask the backend to open what is missing, and note who did.

    Raises the client's errors where it was not done, Unconfirmed (noted too) where that is not known: what is open at
    the account does not show it, because a delayed copy opens later.
    """
    try:
        client.resynchronize(subscriber.backend_id, strategy_ids=wanted.strategies, position_ids=wanted.positions)
    except ClientError as error:
        if not error.may_be_done:
            raise
        note(subscriber, wanted, "resynchronised: not confirmed", by=by)
        raise Unconfirmed(error.text) from error
    note(subscriber, wanted, "resynchronised", by=by)


def note(subscriber: Subscriber, wanted: Wanted, action: str, *, by: User | None) -> None:
    """Who asked for it, and for what."""
    record_audit(
        subscriber.workspace,
        user=by,
        action=action,
        subject=subscriber.name,
        details={
            "account": subscriber.backend_id,
            "strategies": wanted.strategies,
            "positions": wanted.positions,
        },
        now=timezone.now(),
    )


@require_http_methods(["GET", "POST"])
@may_manage
@once
def resynchronise_page(request: MemberRequest, pk: int) -> HttpResponse:
    """Choose all, some strategies or some positions; say in numbers what opens; do it once the name is typed."""
    subscriber = visible_subscriber(request, pk)
    context = page_of(request, subscriber, "subscriptions", problem="", signals=[], chosen=request.POST)
    context["back"] = home = reverse("subscribers:subscriptions", args=[pk])
    scope = request.POST.get("scope", "all")
    wanted = Wanted(
        request.POST.getlist("strategy") if scope == "strategies" else [],
        request.POST.getlist("position") if scope == "positions" else [],
    )
    problem = problem_with(request, subscriber, scope, wanted) if request.method == "POST" else ""
    try:
        with backend_of(subscriber.connection) as client:
            signals = client.trading_signals(subscriber.backend_id)[:MOST_SIGNALS]
            if request.method == "POST" and not problem:
                problem = not_on_the_page(subscriber, wanted, signals)
            if request.method == "POST" and not problem:
                resynchronise(subscriber, wanted, client=client, by=request.user)
                messages.success(request, f"{subscriber.name} is being resynchronised. What is missing opens now.")
                return redirect(home)
    except Unconfirmed as error:  # sent again, it could open positions twice: the form counts as sent
        messages.warning(request, error.text)
        return redirect(home)
    except NotDone as error:
        return render(request, "subscribers/resync.html", context | {"problem": error.text} | NOTHING, status=503)
    missing = [signal for signal in signals if is_missing(signal)]
    strategies = {signal.strategy.id: signal.strategy.name or signal.strategy.id for signal in signals}
    context |= {"signals": signals, "missing": missing, "strategies": strategies, "problem": problem, "scope": scope}
    context["missing_of"] = {key: sum(signal.strategy.id == key for signal in missing) for key in strategies}
    return render(request, "subscribers/resync.html", context, status=422 if problem else 200)


def not_on_the_page(subscriber: Subscriber, wanted: Wanted, signals: list[TradingSignal]) -> str:
    """What is wrong with what was chosen: only the account's own strategies and its open signals are offered."""
    strategies = {signal.strategy.id for signal in signals}
    strategies |= {terms.get("strategyId", "") for terms in subscriber.document.get("subscriptions") or []}
    if set(wanted.strategies) <= strategies and set(wanted.positions) <= {signal.position_id for signal in signals}:
        return ""
    return "Nothing was done. Choose of what the page lists now."


NOTHING: dict = {"missing": [], "strategies": {}, "missing_of": {}, "scope": "all"}


def problem_with(request: MemberRequest, subscriber: Subscriber, scope: str, wanted: Wanted) -> str:
    """Why it is not done; "" when it may be."""
    if scope == "strategies" and not wanted.strategies:
        return "Nothing was done. Choose at least one strategy."
    if scope == "positions" and not wanted.positions:
        return "Nothing was done. Choose at least one position."
    if request.POST.get("typed", "").strip() != subscriber.name.strip():
        return f"Nothing was done. Type the name, {subscriber.name}, to say that you mean it."
    return ""
