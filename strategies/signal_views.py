"""The tab Signals of a strategy: open external signals and webhooks, and sending, changing and closing signals.

They are read from the backend each time; nothing of it is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from copying.client import Client
from copying.contract.documents import ExternalSignal
from editing.backend import NotDone, Unconfirmed, backend_of
from strategies import signals
from strategies.models import Kind, Strategy
from strategies.pages import page_of, visible_strategy
from strategies.reach import copied_equity, copying_accounts
from users.confirming import confirmed
from users.once import FIELD, once
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest
from users.states import State

MOST_SHOWN = 200
MOST_WEBHOOKS = 50
CHANGED = ("stopLoss", "takeProfit", "volume")  # inputs of the forms of an open signal
MOST_TYPED = 40


@dataclass(frozen=True)
class RefusedForm:
    """What somebody typed for an open signal and was not done: it stays in the inputs of its form."""

    signal_id: str
    typed: Mapping[str, str]


def signals_page(request: MemberRequest, strategy: Strategy, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page; what the backend does not tell is replaced by its sentence."""
    context: dict[str, Any] = {
        **page_of(strategy, "signals"),
        "may_manage": can_manage(request.membership) and not strategy.is_removed,
        "is_portfolio": strategy.kind == Kind.PORTFOLIO,
        "open_signals": [],
        "webhooks": [],
        "types": dict(signals.TYPES),
        "problem": "",
        "refused": None,
        "copying": copying_accounts(strategy),
        "form": more.pop("form", None) or signals.SignalForm(),
        "webhook_form": more.pop("webhook_form", None) or signals.WebhookForm(),
    }
    if strategy.kind == Kind.SINGLE:
        try:
            # tried once: a page that shows what it has beats one that keeps a thread waiting for a backend that is down
            with backend_of(strategy.connection, retries=0, wait_budget_s=0) as client:
                open_signals = client.external_signals(strategy.backend_id)
                context["webhooks"] = list(client.webhooks(strategy.backend_id))[:MOST_WEBHOOKS]
            open_signals.sort(key=lambda signal: signal.time, reverse=True)
            context |= {"open_signals": open_signals[:MOST_SHOWN], "count": len(open_signals)}
        except NotDone as error:
            cause = error.text.removeprefix("Nothing was changed. ")  # nothing was to be
            context["problem"] = f"What is open and the webhooks cannot be shown now. {cause}"
    page = "strategies/_open_signals.html" if request.partial and status == 200 else "strategies/signals.html"
    return render(request, page, {**context, **more}, status=status)


@require_safe
@staff_only
def list_signals(request: MemberRequest, pk: int) -> HttpResponse:
    """What is open now, and the webhooks."""
    return signals_page(request, visible_strategy(request, pk))


def single(request: MemberRequest, pk: int) -> Strategy:
    """A strategy that can be given signals, or 404: a portfolio has none of its own."""
    strategy = visible_strategy(request, pk)
    if strategy.kind != Kind.SINGLE:
        raise Http404
    return strategy


def to_signals(strategy: Strategy) -> HttpResponse:
    return redirect("strategies:signals", strategy.pk)


@require_POST
@may_manage
@once
def send(request: MemberRequest, pk: int) -> HttpResponse:
    """Open a signal at everybody who copies the strategy, after a page that says what that is."""
    strategy, now = single(request, pk), timezone.now()
    form = signals.SignalForm(request.POST)
    if not form.is_valid() or not form.is_accepted(form.document(now)):
        return signals_page(request, strategy, status=422, form=form)
    if request.POST.get("confirmed") != "yes":
        return signals_page(request, strategy, form=form) if "edit" in request.POST else ask(request, strategy, form)
    try:
        with backend_of(strategy.connection) as client:
            token = request.POST.get(FIELD, "")
            signal_id = signals.send_signal(
                strategy, form.document(now), client=client, by=request.user, now=now, token=token
            )
            outcome = signals.outcome_so_far(signal_id, client=client)
    except NotDone as error:
        form.attach(error.details)
        return signals_page(request, strategy, status=503, form=form, problem=error.text)
    what = dict(signals.TYPES)[form.cleaned_data["type"]]
    say_sent(request, f"{what} {form.cleaned_data['symbol']}", outcome.state(copying_accounts(strategy)))
    return to_signals(strategy)


def say_sent(request: MemberRequest, what: str, state: State) -> None:
    """The toast: sent is not copied, so it is green only when every account has its copy."""
    if state.code == "waiting":
        messages.info(
            request, f"{what} is sent and waits for its accounts. What becomes of it stands beside the signal."
        )
        return
    levels = {"good": messages.SUCCESS, "info": messages.INFO, "warn": messages.WARNING}
    words = state.words[:1].lower() + state.words[1:]
    messages.add_message(request, levels.get(state.tone, messages.ERROR), f"{what} is sent: {words}.")


def ask(request: MemberRequest, strategy: Strategy, form: signals.SignalForm) -> HttpResponse:
    """What would be sent, and to whom: nothing is sent before somebody says yes to it."""
    context: dict[str, Any] = {
        **page_of(strategy, "signals"),
        "form": form,
        "signal": form.cleaned_data,
        "what": dict(signals.TYPES)[form.cleaned_data["type"]],
        "copying": copying_accounts(strategy),
        "equity": copied_equity(strategy),
    }
    return render(request, "strategies/confirm_signal.html", context)


@require_POST
@may_manage
@once
def change(request: MemberRequest, pk: int, signal_id: str) -> HttpResponse:
    """Another stop loss and take profit."""
    strategy = single(request, pk)
    try:
        field = signals.price_field(required=False)
        prices = {name: field.clean(request.POST.get(name, "")) for name in ("stopLoss", "takeProfit")}
    except signals.forms.ValidationError as error:
        return refused(request, strategy, signal_id, f"Nothing was changed. {error.messages[0]}", status=422)

    def do(signal: ExternalSignal, client: Client) -> None:
        signals.change_signal(strategy, signal, client=client, by=request.user, now=timezone.now(), **prices)

    return act(request, strategy, signal_id, "changed", do)


@require_POST
@may_manage
@once
def close(request: MemberRequest, pk: int, signal_id: str) -> HttpResponse:
    """Close a part, or everything where no volume is given."""
    strategy = single(request, pk)
    try:
        volume = signals.lots_field(required=False).clean(request.POST.get("volume", ""))
    except signals.forms.ValidationError as error:
        return refused(request, strategy, signal_id, f"Nothing was closed. {error.messages[0]}", status=422)

    def do(signal: ExternalSignal, client: Client) -> None:
        signals.close_signal(strategy, signal, volume, client=client, by=request.user, now=timezone.now())

    return act(request, strategy, signal_id, "closed" if volume is None else "closed in part", do)


def act(
    request: MemberRequest, strategy: Strategy, signal_id: str, word: str, do: Callable[[ExternalSignal, Client], None]
) -> HttpResponse:
    """Find an open signal, do something with it, say so."""
    try:
        with backend_of(strategy.connection) as client:
            signal = signals.find_signal(strategy, signal_id, client=client)
            if signal is not None:
                do(signal, client)
    except Unconfirmed as error:  # it may be done: sending the same form once more must not do it again
        messages.error(request, error.text)
        return to_signals(strategy)
    except NotDone as error:
        return refused(request, strategy, signal_id, error.text, status=503)
    if signal is None:
        messages.info(request, "That signal is not open any more.")
    else:
        messages.success(request, f"The signal on {signal.symbol} is {word}.")
    return to_signals(strategy)


def refused(request: MemberRequest, strategy: Strategy, signal_id: str, text: str, *, status: int) -> HttpResponse:
    """The page with the sentence, and what was typed in the form of the signal."""
    typed = {name: value[:MOST_TYPED] for name in CHANGED if (value := request.POST.get(name)) is not None}
    return signals_page(request, strategy, status=status, problem=text, refused=RefusedForm(signal_id, typed))


@require_POST
@may_manage
@confirmed
@once
def create_webhook(request: MemberRequest, pk: int) -> HttpResponse:
    """An address that signals can be posted to."""
    strategy = single(request, pk)
    form = signals.WebhookForm(request.POST)
    if not form.is_valid():
        return signals_page(request, strategy, status=422, webhook_form=form)
    try:
        with backend_of(strategy.connection) as client:
            signals.create_webhook(strategy, form.document(), client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        form.add_error(None, error.text)
        return signals_page(request, strategy, status=503, webhook_form=form)
    messages.success(request, "The webhook is made. Its address is below: who has it can trade.")
    return to_signals(strategy)


@require_POST
@may_manage
@confirmed
def remove_webhook(request: MemberRequest, pk: int) -> HttpResponse:
    """What is posted there is refused from now on. The id is the secret, so it travels in the form's body."""
    strategy = single(request, pk)
    try:
        with backend_of(strategy.connection) as client:
            webhook_id = request.POST.get("webhook", "")[:64]
            signals.remove_webhook(strategy, webhook_id, client=client, by=request.user, now=timezone.now())
    except NotDone as error:
        messages.error(request, error.text)
    else:
        messages.success(request, "The webhook is removed.")
    return to_signals(strategy)
