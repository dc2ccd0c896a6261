"""Billing periods: which are open, ended or closed; what one consists of, and the page that asks before closing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django.contrib import messages
from django.db.models import (
    Case,
    CharField,
    Count,
    DecimalField,
    Exists,
    F,
    Max,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat, LPad
from django.db.models.lookups import Exact
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.book_jobs import CLOSE
from reporting.commission.closing import lines_of_period, problems_of
from reporting.commission.wording import CHARGES
from reporting.commission.zones import period_days
from reporting.models import BillingPeriod, CommissionLine, PeriodState, StatementItem
from reporting.rates import rates_of
from reporting.states import PERIOD_STATES, period_code, period_state
from reporting.views.booking import carry_out_or_ask
from reporting.views.commissions import chosen_span
from reporting.views.history import render_list
from reporting.views.incoming import in_one_currency
from reporting.waiting import waiting_deals
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.listing import Choice, Column, DayRange, Listing, Option, Search
from users.once import once
from users.permissions import can_bill, may_bill, staff_only
from users.requests import MemberRequest

MONEY = DecimalField(max_digits=24, decimal_places=4)
MOST_REVIEWED = 500
AMOUNTS = """(
    SELECT string_agg(trim_scale(sums.total)::text || ' ' || sums.currency, '; ' ORDER BY sums.currency) FROM (
        SELECT line.currency, sum(line.amount) AS total FROM reporting_commissionline line
        WHERE line.workspace_id = reporting_billingperiod.workspace_id AND line.member_id = ''
          AND line.connection_id = reporting_billingperiod.connection_id
          AND line.strategy_id = reporting_billingperiod.strategy_id
          AND line.period_start = reporting_billingperiod.period_start
          AND line.period_end = reporting_billingperiod.period_end
        GROUP BY line.currency) sums)"""
PERIODS = Listing(
    name="billing-periods",
    sort="-period_end",
    columns=(
        Column("strategy_name", "Strategy", source="strategy__name", csv_name="strategy"),
        Column("strategy_id"),
        Column("connection_id", in_csv=False),
        Column("strategy_pk", source="strategy__id", in_csv=False),
        Column("period_start"),
        Column("period_end", "Period", is_sortable=True),
        Column("code", "State", source=period_code(), csv_name="state"),
        Column("state", in_csv=False),
        Column("subscribers", "Subscribers", is_number=True),
        Column("lines", "Lines", is_number=True),
        Column("amounts", in_csv=False),
        Column("amounts_text", in_table=False, source=RawSQL(AMOUNTS, [], CharField()), csv_name="amounts"),
        Column("reporting_amount", "Amount", is_number=True),
        Column("reporting_currency"),
        Column("closed_at", "Closed"),
    ),
    filters=(
        Search("q", "Search", placeholder="Strategy by name or id", fields=("strategy__name", "strategy_id")),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=(
                Option(PeriodState.OPEN, "Open: running or ended", Q(state=PeriodState.OPEN)),
                *(Option(s.code, s.words, Q(Exact(period_code(), Value(s.code)))) for s in PERIOD_STATES.values()),
            ),
        ),
        DayRange("period_end", "Ended"),
    ),
)


def with_sums(request: MemberRequest, rows: Sequence) -> list[tuple]:
    """(period, its state, days, [(currency, amount)], in the reporting currency, subscribers, lines).

    Those of open periods come by one query, at today's rates; None where a currency has none.
    """
    now, days_of = timezone.now(), period_days(request.workspace, rows)
    open_rows = [row for row in rows if row.state == PeriodState.OPEN]
    sums: dict[tuple, list] = {}
    if open_rows:
        lines = CommissionLine.objects.visible_to(request.membership).filter(
            period_start__gte=min(row.period_start for row in open_rows),
            strategy_id__in={row.strategy_id for row in open_rows},
        )
        grouped = lines.totals("connection_id", "strategy_id", "period_start", "period_end")
        for sums_of_period in grouped.annotate(accounts=Count("subscriber_id", distinct=True)):
            key = tuple(sums_of_period[name] for name in ("connection_id", "strategy_id", "period_start", "period_end"))
            sums.setdefault(key, []).append(sums_of_period)
    shown, rates = [], rates_of(request.workspace)
    for row in rows:
        days = days_of(row)
        if row.state == PeriodState.OPEN:
            own_sums = sums.get((row.connection_id, row.strategy_id, row.period_start, row.period_end), [])
            amounts = [(own_sum["currency"], own_sum["total"]) for own_sum in own_sums]
            total = in_one_currency(own_sums, request.workspace.reporting_currency, rates, now)
            converted = total.amount if total else None
            counted = sum(own_sum["accounts"] for own_sum in own_sums), sum(own_sum["lines"] for own_sum in own_sums)
        else:
            amounts = [(currency, Decimal(amount)) for currency, amount in sorted((row.amounts or {}).items())]
            converted, counted = row.reporting_amount, (row.subscribers, row.lines)
        shown.append((row, period_state(row, now), days, amounts, converted, *counted))
    return shown


@require_safe
@staff_only
def periods(request: MemberRequest) -> HttpResponseBase:
    """Every billing period with lines, of every strategy."""
    own = BillingPeriod.objects.visible_to(request.membership)
    table = PERIODS.bind(request, own)
    if table.wants_csv:
        return table.csv()
    waiting = own.to_close(timezone.now()).aggregate(number=Count("id"), newest=Max("period_end"))
    context = {"shown": with_sums(request, table.rows), "waiting": waiting["number"]}
    context["currency"] = request.workspace.reporting_currency
    context |= {"may_bill": can_bill(request.membership), "tab": "periods"}
    return render_list(request, "reporting/periods.html", "reporting/_periods.html", table, **context)


# --- Closing ----------------------------------------------------------------------------------------------------------
def chosen_periods(request: MemberRequest) -> tuple:
    """(the month in the URL or None for all, its end or now, the ended open periods to then, the oldest first)."""
    span = chosen_span(request) if request.GET.get("period") else None
    until = min(span.until, timezone.now()) if span else timezone.now()
    waiting = BillingPeriod.objects.visible_to(request.membership).to_close(timezone.now())
    ended = waiting.filter(period_end__lte=until).select_related("strategy").order_by("period_end", "strategy_id", "pk")
    return span, until, ended


@require_safe
@may_bill
def review(request: MemberRequest) -> HttpResponse:
    """What closing would close: sums, and what is incomplete."""
    span, _, ended = chosen_periods(request)
    rows = list(ended[:MOST_REVIEWED])
    totals: dict[str, Decimal] = {}
    shown = with_sums(request, rows)
    for _, _, _, amounts, *_ in shown:
        for currency, amount in amounts:
            totals[currency] = totals.get(currency, Decimal(0)) + amount
    context = {"shown": shown, "span": span, "totals": sorted(totals.items()), "tab": "periods"}
    context["currency"] = request.workspace.reporting_currency
    context |= {"problems": problems_of(request.workspace, rows, timezone.now()), "count": ended.count()}
    context["waiting"] = waiting_deals(request.membership)
    return render(request, "reporting/close_periods.html", context)


@require_POST
@may_bill
@confirmed
@once
def close(request: MemberRequest) -> HttpResponse:
    """Close every ended period to the end of the month in the URL."""
    span, until, ended = chosen_periods(request)
    if not ended.exists():
        say_not_closed(request)
        return redirect("reporting:periods")
    title = f"Periods that ended by the end of {span.label}" if span else f"Periods that ended by {until:%Y-%m-%d}"
    parameters = {"until": until.isoformat()}
    carry_out_or_ask(request, CLOSE, title=title, parameters=parameters, origin=reverse("reporting:periods"))
    return redirect("reporting:periods")


def say_not_closed(request: MemberRequest, period: BillingPeriod | None = None) -> None:
    """Why nothing is closed, for the person who asked."""
    if period is not None and period.closed_at is not None:
        who = f" by {period.closed_by}" if period.closed_by else ""
        messages.info(request, f"Nothing to do: closed already{who} on {period.closed_at:%Y-%m-%d %H:%M} UTC.")
    else:
        messages.info(request, "Nothing to close: no open period has ended.")


@require_POST
@may_bill
@confirmed
@once
def close_one(request: MemberRequest, pk: int) -> HttpResponse:
    """Close one strategy's period, and its earlier ones with it."""
    own = BillingPeriod.objects.visible_to(request.membership).select_related("strategy", "closed_by")
    period = get_object_or_404(own, pk=pk)
    if period.period_end > timezone.now():
        messages.error(request, "Not closed: the period has not ended yet.")
        return redirect("reporting:period", pk)
    if period.state != PeriodState.OPEN:
        say_not_closed(request, period)
        return redirect("reporting:period", pk)
    name = period.strategy.name if period.strategy else period.strategy_id
    title = f"{name}, {period_days(request.workspace, [period])(period)}"
    parameters = {"until": period.period_end.isoformat(), "connection_id": period.connection_id}
    parameters["strategy_id"] = period.strategy_id
    carry_out_or_ask(request, CLOSE, title=title, parameters=parameters, origin=reverse("reporting:period", args=[pk]))
    # without lines there is no period
    still_there = BillingPeriod.objects.visible_to(request.membership).filter(pk=pk).exists()
    return redirect("reporting:period", pk) if still_there else redirect("reporting:periods")


LABEL_OF_ITEM = Concat(
    Case(When(statement__series="", then=Value("S-")), default=F("statement__series"), output_field=CharField()),
    LPad(Cast("statement__number", CharField()), 6, Value("0")),
)


# --- One period -------------------------------------------------------------------------------------------------------
def accounts_listing(period: BillingPeriod) -> Listing:
    """The accounts of one period with what each owes, and the statement it stands on."""
    own = lines_of_period(period).filter(member_id="", subscriber_id=OuterRef("backend_id")).order_by()
    grouped = own.values("subscriber_id")
    item = StatementItem.objects.filter(period=period, subscriber_id=OuterRef("backend_id"), is_void=False)
    return Listing(
        name="period-accounts",
        sort="name",
        columns=(
            Column("name", "Subscriber", is_sortable=True, csv_name="subscriber"),
            Column("backend_id", csv_name="subscriber_id"),
            Column("lines", "Lines", is_number=True, source=Subquery(grouped.annotate(n=Count("id")).values("n"))),
            Column(
                "owed",
                "Amount",
                is_number=True,
                csv_name="amount",
                source=Subquery(grouped.annotate(t=Sum("amount")).values("t"), output_field=MONEY),
            ),
            Column("currency", "Currency"),
            Column("statement_pk", in_csv=False, source=Subquery(item.values("statement_id")[:1])),
            Column("statement", "Statement", source=Subquery(item.annotate(label=LABEL_OF_ITEM).values("label")[:1])),
        ),
        filters=(Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),),
    )


@require_safe
@staff_only
def period(request: MemberRequest, pk: int) -> HttpResponseBase:
    """One period: its sums, its accounts, what a portfolio's owner owes, and closing it."""
    own = BillingPeriod.objects.visible_to(request.membership).select_related("strategy", "closed_by")
    period = get_object_or_404(own, pk=pk)
    lines = lines_of_period(period).filter(member_id="", subscriber_id=OuterRef("backend_id"))
    accounts = Subscriber.objects.visible_to(request.membership).filter(connection_id=period.connection_id)
    table = accounts_listing(period).bind(request, accounts.filter(Exists(lines)))
    if table.wants_csv:
        return table.csv()
    now = timezone.now()
    (shown,) = with_sums(request, [period])
    is_open = period.state == PeriodState.OPEN
    of_strategy = BillingPeriod.objects.filter(connection_id=period.connection_id, strategy_id=period.strategy_id)
    earlier = of_strategy.filter(closed_at=None, period_end__lt=period.period_end)
    context = {
        "period": period,
        "shown": shown,
        "schemes": CHARGES,
        "tab": "periods",
        "is_open": is_open,
        "has_ended": period.period_end <= now,
        "earlier": earlier.count() if is_open else 0,
        "problems": [gap.text for gap in problems_of(request.workspace, [period], now)] if is_open else period.problems,
        "may_bill": can_bill(request.membership),
        "incoming": incoming_of(period),
        "currency": request.workspace.reporting_currency,
    }
    return render_list(request, "reporting/period.html", "reporting/_period_accounts.html", table, **context)


def incoming_of(period: BillingPeriod) -> list[dict]:
    """What the owner of a portfolio owes for the period, by member and currency."""
    rows = list(lines_of_period(period).exclude(member_id="").totals("member_id"))
    names = dict(
        Strategy.objects.filter(
            Q(connection_id=period.connection_id), backend_id__in={r["member_id"] for r in rows}
        ).values_list("backend_id", "name")
    )
    return [{**row, "name": names.get(row["member_id"], row["member_id"])} for row in rows]
