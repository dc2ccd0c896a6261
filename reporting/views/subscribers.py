"""What an account brought: results for the list, and of one account its curve, transactions, commission and log."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from copying.client import ClientError
from reporting import performance
from reporting.commission.billing import owed_by_subscription
from reporting.commission.wording import CHARGES
from reporting.metrics import Curve, equity_curves
from reporting.models import LogRecord, Transaction
from reporting.overview import RANGES
from reporting.past_curves import source_of, with_past
from reporting.retention import RecordKind, kept_from
from reporting.sync.logs import sync_subscriber_log
from reporting.sync.source import Source
from reporting.views.commissions import chosen_span, owed_csv, totals_by_currency, wants_csv
from reporting.views.history import LOG, TRANSACTIONS, render_list
from reporting.views.overview import chosen_range
from reporting.views.strategies import asked_ids, curve_answer, without
from subscribers.models import Subscriber
from subscribers.pages import visible_subscriber
from users.permissions import member_only, staff_only
from users.requests import MemberRequest

ACCOUNT_TRANSACTIONS = without(TRANSACTIONS, "subscriber")
ACCOUNT_LOG = without(LOG, "subscriber")
LOG_KEPT_S = 20
RETURNS_KEPT_S = 60
CLIENT_OPTIONS = {"timeout_s": 8, "extended_timeout_s": 10, "retries": 0, "wait_budget_s": 0}


def curve_of(subscriber: Subscriber) -> Curve:
    """The account's whole equity in its own currency, at most a minute old; empty while it was never measured.

    Kept, so that page, chart, table and every range button show one reading of it.
    """
    key = f"account-curve:{subscriber.pk}"
    curve = cache.get(key)
    if curve is None:
        curves = equity_curves(subscriber.connection_id, [subscriber.backend_id])
        times, equity, flows = (performance.np.zeros(0, kind) for kind in ("int64", "float64", "float64"))
        empty = Curve(times, equity, flows, subscriber.currency)
        curve = with_past(curves.get(subscriber.backend_id, empty), subscriber)
        cache.set(key, curve, RETURNS_KEPT_S)
    return curve


@require_safe
@staff_only
def results(request: MemberRequest) -> HttpResponse:
    """What today and this month brought to the accounts of a list: its cells, or a page."""
    accounts = Subscriber.objects.visible_to(request.membership).filter(pk__in=asked_ids(request) or [])
    rows = list(accounts.only("pk", "name", "currency", "connection_id", "backend_id").order_by("name", "pk"))
    today = timezone.now().date()
    results_by_account = performance.results_of_accounts(
        [(row.connection_id, row.backend_id) for row in rows], today=today
    )
    shown = [(row, *results_by_account.get((row.connection_id, row.backend_id), (0, 0))) for row in rows]
    part, page = "reporting/_subscriber_cells.html", "reporting/subscriber_results.html"
    return render(request, part if request.partial else page, {"shown": shown})


def returns_kept(subscriber: Subscriber, whole: Curve | None, today: date) -> tuple:
    """(month, year, drawdown) as `performance.returns_of`: of the curve, or without one at most a minute old."""
    key = f"account-returns:{subscriber.pk}:{today}"
    returns = cache.get(key) if whole is None else None
    if returns is None:
        returns = performance.returns_of(curve_of(subscriber) if whole is None else whole, today)
        cache.set(key, returns, RETURNS_KEPT_S)
    return returns


def figures_of(subscriber: Subscriber, whole: Curve | None) -> dict:
    """What the head of an account's overview shows. whole: its curve, where it is at hand already."""
    today = timezone.now().date()
    month, year, drawdown = returns_kept(subscriber, whole, today)
    key = (subscriber.connection_id, subscriber.backend_id)
    result_today, result_month = performance.results_of_accounts([key], today=today).get(key, (0, 0))
    return {
        "month": month,
        "year": year,
        "drawdown": drawdown,
        "result_today": result_today,
        "result_month": result_month,
        "today": today,
        "month_start": today.replace(day=1),
        "curve_source": None if whole is None else source_of(subscriber),
    }


@require_safe
@staff_only
def subscriber_performance(request: MemberRequest, pk: int) -> HttpResponse:
    """Curve, figures and monthly returns of one account, as a page or as the part of its overview."""
    subscriber = visible_subscriber(request, pk)
    whole = curve_of(subscriber)
    context = {"subscriber": subscriber, "tab": "overview", "ranges": list(RANGES), "range": chosen_range(request)}
    context |= {"heat_map": performance.heat_map(whole), **figures_of(subscriber, whole)}
    part, page = "reporting/_subscriber_performance.html", "reporting/subscriber_performance.html"
    return render(request, part if request.partial else page, context)


@require_safe
@member_only
def equity(request: MemberRequest, pk: int) -> HttpResponse:
    """The equity of one account that one may see."""
    subscriber = visible_subscriber(request, pk)
    staff = request.membership.is_staff_role
    came_from = f"/subscribers/{pk}/" if staff else f"/me/?account={pk}"
    return curve_answer(request, curve_of(subscriber), f"Equity of {subscriber.name}", came_from)


@require_safe
@staff_only
def transactions(request: MemberRequest, pk: int) -> HttpResponse:
    """Every deal of one account."""
    subscriber = visible_subscriber(request, pk)
    own = Transaction.objects.visible_to(request.membership).filter(subscriber_id=subscriber.backend_id)
    table = ACCOUNT_TRANSACTIONS.bind(request, own.filter(connection_id=subscriber.connection_id))
    if table.wants_csv:
        return table.csv()
    context = {"subscriber": subscriber, "tab": "transactions", "totals_href": ""}
    return render_list(
        request, "reporting/subscriber_transactions.html", "reporting/_transactions.html", table, **context
    )


@require_safe
@staff_only
def log(request: MemberRequest, pk: int) -> HttpResponse:
    """What the backend wrote about one account, as far as it is mirrored."""
    subscriber = visible_subscriber(request, pk)
    own = LogRecord.objects.visible_to(request.membership).filter(subscriber_id=subscriber.backend_id)
    table = ACCOUNT_LOG.bind(request, own.filter(connection_id=subscriber.connection_id))
    if table.wants_csv:
        return table.csv()
    limit = kept_from(request.workspace.pk, RecordKind.LOG)
    context = {"subscriber": subscriber, "tab": "log", "kept_from": limit}
    return render_list(request, "reporting/subscriber_log.html", "reporting/_log.html", table, **context)


@require_POST
@staff_only
def fetch_log(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask the backend for the newest lines of one account's own log."""
    subscriber = get_object_or_404(
        Subscriber.objects.visible_to(request.membership).select_related("connection"), pk=pk
    )
    if cache.add(f"log-fetched:{pk}", 1, LOG_KEPT_S):
        try:
            with subscriber.connection.client(**CLIENT_OPTIONS) as client:
                new = sync_subscriber_log(subscriber, source=Source(client), now=timezone.now())
            messages.success(request, f"{new or 'No'} new {'line' if new == 1 else 'lines'} from the backend.")
        except (ClientError, ImproperlyConfigured) as error:
            messages.error(request, f"The log could not be fetched. {getattr(error, 'text', error)}")
    return redirect("reporting:subscriber-log", pk)


@require_safe
@staff_only
def commission(request: MemberRequest, pk: int) -> HttpResponse:
    """What one account owes in a span, by strategy."""
    subscriber, span = visible_subscriber(request, pk), chosen_span(request)
    only = {"connection_id": subscriber.connection_id, "subscriber_id": subscriber.backend_id}
    rows = owed_by_subscription(request.membership, span, timezone.now(), **only)
    if wants_csv(request):
        return owed_csv(request, rows, "commission", span)
    context = {"subscriber": subscriber, "tab": "commission", "span": span, "rows": rows, "schemes": CHARGES}
    context |= {"by_currency": totals_by_currency(rows), "of_strategy": False}
    return render(request, "reporting/subscriber_commission.html", context)
