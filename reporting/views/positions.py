"""Open positions: signals with their copies, every position of every account, and the tabs of one strategy or account.

What moves with prices refreshes itself in its cells; rows are never moved under a reader's eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Exists, F, OuterRef
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from reporting import exposure, open_reads
from reporting.models import OpenPosition, OpenTrade
from reporting.rates import Rates, rates_of
from reporting.tasks import hurry_positions
from reporting.views.history import render_list
from reporting.views.position_lists import (
    ACCOUNT_POSITIONS,
    OWN_POSITIONS,
    POSITIONS,
    SIGNALS,
    STRATEGY_SIGNALS,
    without,
)
from reporting.watching import MOST_WATCHED, asked_by_account, watch
from strategies import pages as strategy_pages
from strategies.models import Kind, Strategy
from subscribers.models import Subscriber
from subscribers.pages import page_of, visible_subscriber
from users.listing import BadParameter, Table
from users.parsing import row_ids
from users.permissions import can_manage, member_only, staff_only, subscriber_only
from users.requests import MemberRequest

MOST_CELLS = 50


@dataclass(frozen=True)
class ReportingMoney:
    """Converts amounts of a page into the reporting currency."""

    rates: Rates
    currency: str
    on: date

    @classmethod
    def of(cls, request: MemberRequest) -> ReportingMoney:
        return cls(rates_of(request.workspace), request.workspace.reporting_currency, timezone.now().date())

    def convert(self, amount, currency: str):
        """In the reporting currency; None where that is not known."""
        return exposure.converted(amount, currency, self.rates, self.currency, self.on)

    def total(self, rows: list[exposure.Row]) -> exposure.Exposure:
        return exposure.with_total(exposure.exposure_of(rows), self.rates, self.currency, self.on)


def connections_of(request: MemberRequest) -> list[int]:
    """The connections whose figures one may see, also those that are switched off: theirs are as old as they are."""
    own = request.workspace.connections.all()
    if not request.membership.is_staff_role:
        own = own.filter(pk__in=Subscriber.objects.visible_to(request.membership).values("connection_id"))
    return list(own.values_list("pk", flat=True))


def look_at(accounts) -> None:
    """A page shows these accounts (connection, id): their positions are read soon."""
    hurry_positions(watch(accounts))


def rows_of(table: Table, request: MemberRequest) -> list[exposure.Row]:
    """What the page's sums are of: all positions that its filters leave, from kept sums where those are the same.

    The list of all signals without filters is of everything that is open at clients' accounts, also what was not
    copied. Lists of one account or strategy have the same names and other rows.
    """
    of_signals = table.listing.name == SIGNALS.name
    asked = {applied.chip.keys[0] for applied in table.applied}
    is_whole = table.listing is SIGNALS or table.listing is POSITIONS
    if is_whole and request.membership.is_staff_role and asked <= ({"strategy"} if of_signals else {"symbol", "side"}):
        wanted = {key: table.parameters.get(key, "").strip() for key in asked}
        return exposure.kept_rows(request.membership, **wanted)
    if not of_signals:
        return exposure.position_rows(table.filtered)
    listed = table.filtered.filter(
        connection_id=OuterRef("connection_id"),
        strategy_id=OuterRef("source_strategy_id"),
        signal_id=OuterRef("signal_id"),
    )
    return exposure.position_rows(open_reads.client_positions(request.membership).filter(Exists(listed)))


@require_safe
@staff_only
def positions(request: MemberRequest) -> HttpResponseBase:
    """Every signal that is open, or of which copies are."""
    table = SIGNALS.bind(request, open_reads.listed_signals(request.membership))
    return _signals(request, table, "reporting/positions.html")


def _signals(
    request: MemberRequest, table: Table, page: str, rows: list[exposure.Row] | None = None, **more: Any
) -> HttpResponseBase:
    if table.wants_csv:
        return table.csv()
    rows = rows_of(table, request) if rows is None else rows
    shown = [] if request.GET.get("newer") else table.rows
    look_at(accounts_of(request, shown) or [(pk, "") for pk in connections_of(request)])
    context = {
        "exposure": ReportingMoney.of(request).total(rows),
        "age": open_reads.age_of(connections_of(request)),
        "states": open_reads.SIGNAL_STATES,
        "cells": ",".join(str(row.id) for row in table.rows),
        **more,
    }
    return render_list(request, page, "reporting/_positions.html", table, **context)


def accounts_of(request: MemberRequest, rows: list[Any]) -> list[tuple[int, str]]:
    """Whom the signals of a page concern: connections that tell all at once, and accounts of those that do not."""
    connections = {row.connection_id for row in rows}
    by_account = asked_by_account(connections)
    accounts = [(connection_id, "") for connection_id in sorted(connections - by_account)]
    if not by_account:
        return accounts
    ids = [row.id for row in rows if row.connection_id in by_account]
    signals = OpenTrade.objects.visible_to(request.membership).filter(pk__in=ids)
    accounts += signals.exclude(strategy__account_id="").values_list("connection_id", "strategy__account_id")
    of_one = signals.filter(
        connection_id=OuterRef("connection_id"),
        strategy_id=OuterRef("source_strategy_id"),
        signal_id=OuterRef("signal_id"),
    )
    copies = OpenPosition.objects.visible_to(request.membership).filter(Exists(of_one))
    return [*accounts, *copies.order_by().values_list("connection_id", "subscriber_id")[: 2 * MOST_WATCHED]]


@require_safe
@staff_only
def cells(request: MemberRequest) -> HttpResponse:
    """What moves with prices of the signals of a page: their cells, which replace those of the page."""
    ids = row_ids(request.GET.get("ids", ""), most=MOST_CELLS)
    if ids is None:
        raise BadParameter("“ids” is a list of numbers with commas between them.")
    signals = list(OpenTrade.objects.visible_to(request.membership).filter(pk__in=ids).order_by("-opened_at", "-pk"))
    look_at([(pk, "") for pk in {signal.connection_id for signal in signals}])
    context = {"signals": signals, "states": open_reads.SIGNAL_STATES}
    return render(
        request, "reporting/_position_cells.html" if request.partial else "reporting/position_cells.html", context
    )


@require_safe
@member_only
def open_cells(request: MemberRequest) -> HttpResponse:
    """The part of what moves with prices of the positions of a page, for whoever may see them."""
    ids = row_ids(request.GET.get("ids", ""), most=MOST_CELLS)
    if ids is None:
        raise BadParameter("“ids” is a list of numbers with commas between them.")
    own = open_reads.client_positions(request.membership).filter(pk__in=ids).select_related("subscriber")
    rows = list(own.annotate(currency=F("subscriber__currency")).order_by("pk"))
    look_at([(row.connection_id, row.subscriber_id) for row in rows])
    money = ReportingMoney.of(request)
    context = {
        "rows": rows,
        "converted": {row.pk: money.convert(row.floating, open_reads.account_of(row).currency) for row in rows},
        "reporting_currency": money.currency,
    }
    return render(request, "reporting/_open_cells.html", context)


@require_safe
@staff_only
def position_signal(request: MemberRequest, pk: int) -> HttpResponse:
    """One signal with its copies and who has none, as a page or as the part that opens in the list."""
    visible = open_reads.listed_signals(request.membership).select_related("strategy")
    signal = get_object_or_404(visible, pk=pk)
    copies = list(
        open_reads.copies_of(signal, request.membership).order_by("subscriber__name", "pk")[: open_reads.MOST_COPIES]
    )
    look_at([(copy.connection_id, copy.subscriber_id) for copy in copies] or [(signal.connection_id, "")])
    money = ReportingMoney.of(request)
    context = {
        "signal": signal,
        "state": open_reads.SIGNAL_STATES[signal.state],
        "copies": [(copy, money.convert(copy.floating, open_reads.account_of(copy).currency)) for copy in copies],
        "missing": open_reads.missing_copies(signal, request.membership),
        "reporting_currency": money.currency,
        "age": open_reads.age_of([signal.connection_id]),
        "may_manage": can_manage(request.membership),
    }
    return render(
        request, "reporting/_position_signal.html" if request.partial else "reporting/position_signal.html", context
    )


@require_safe
@staff_only
def every_position(request: MemberRequest) -> HttpResponseBase:
    """Every open position of every client's account."""
    table = POSITIONS.bind(request, open_reads.client_positions(request.membership))
    age = open_reads.age_of(connections_of(request))
    return _positions(request, table, "reporting/every_position.html", age)


def _positions(
    request: MemberRequest, table: Table, page: str, age: open_reads.BookAge, **more: Any
) -> HttpResponseBase:
    if table.wants_csv:
        return table.csv()
    shown = [] if request.GET.get("newer") else table.rows
    look_at([(row.connection_id, row.subscriber_id) for row in shown] or [(pk, "") for pk in connections_of(request)])
    money = ReportingMoney.of(request)
    context = {
        "exposure": money.total(rows_of(table, request)),
        "age": age,
        "cells": ",".join(str(row.id) for row in shown),
        "converted": {row.id: money.convert(row.floating, row.currency) for row in shown},
        "reporting_currency": money.currency,
        "may_manage": can_manage(request.membership),
        **more,
    }
    return render_list(request, page, "reporting/_open_positions.html", table, **context)


def kept_rows_of(request: MemberRequest, strategy: Strategy) -> list[exposure.Row]:
    """The sums of one strategy's copies."""
    backend, key = strategy.connection_id, strategy.backend_id
    return exposure.kept_rows(request.membership, connection_id=backend, strategy=key)


@require_safe
@staff_only
def strategy_positions(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What is open of one strategy: its signals, or the copies that came by a portfolio."""
    strategy = strategy_pages.visible_strategy(request, pk)
    context = strategy_pages.page_of(strategy, "positions")
    if strategy.kind == Kind.PORTFOLIO:
        own = open_reads.client_positions(request.membership).filter(connection_id=strategy.connection_id)
        table = without(POSITIONS, "strategy").bind(request, own.filter(strategy_id=strategy.backend_id))
        age = open_reads.age_of([strategy.connection_id])
        return _positions(request, table, "reporting/strategy_positions.html", age, **context)
    own_signals = open_reads.listed_signals(request.membership).filter(connection_id=strategy.connection_id)
    signals = STRATEGY_SIGNALS.bind(request, own_signals.filter(strategy_id=strategy.backend_id))
    rows = None if signals.applied else kept_rows_of(request, strategy)
    return _signals(request, signals, "reporting/strategy_positions.html", rows, **context)


@require_safe
@staff_only
def subscriber_positions(request: MemberRequest, pk: int) -> HttpResponseBase:
    """What is open at one account, copied or not."""
    account = visible_subscriber(request, pk)
    own = open_reads.client_positions(request.membership).filter(subscriber_id=account.backend_id)
    table = ACCOUNT_POSITIONS.bind(request, own.filter(connection_id=account.connection_id))
    context = page_of(request, account, "positions")
    return _positions(
        request, table, "reporting/subscriber_positions.html", open_reads.age_of_account(account), **context
    )


@require_safe
@subscriber_only
def own_positions(request: MemberRequest) -> HttpResponseBase:
    """What is open at the accounts of a client."""
    table = OWN_POSITIONS.bind(request, open_reads.client_positions(request.membership))
    return _positions(request, table, "reporting/own_positions.html", open_reads.age_of(connections_of(request)))
