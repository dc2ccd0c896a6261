"""The lists of subscribers, of a strategy's subscribers, and of stopouts: columns, filters, sorts."""

from __future__ import annotations

from django.core.cache import cache
from django.db import models
from django.db.models import Case, ExpressionWrapper, F, Func, Q, Value, When
from django.db.models.fields import CharField, DateTimeField, DecimalField
from django.db.models.functions import Coalesce, Now
from django.db.models.lookups import Exact

from copying.contract.settings import STOPOUT_REASONS
from strategies.models import Strategy
from subscribers.causes import cause_of
from subscribers.models import Subscriber, Subscription, account_state
from subscribers.results import result_month, result_today
from subscribers.states import ACCOUNT_STATES
from users.listing import BadParameter, Between, Choice, Column, DayRange, Listing, Option, Search
from users.models import Membership

MOST_IDS = 10_000  # the list tells the planner how many rows to expect; more of them tell nobody anything
CURRENCIES_KEPT_S = 60
IS_ACTIVE = Q(ended_at=None, stopped_till__gt=Now())
# when a stopout is over; sorted by it, those that are active come first, endless ones at the very top
ENDS_AT = Coalesce("ended_at", "stopped_till", output_field=DateTimeField())
# as `subscribers/_stopouts.html` shows it
STOPOUT_STATE = Case(
    When(IS_ACTIVE, then=Value("active")),
    When(ended_at__isnull=False, then=Value("resumed")),
    default=Value("ended"),
    output_field=CharField(),
)
STATE = account_state()
FLOATING = ExpressionWrapper(
    F("equity") - F("balance"), output_field=DecimalField(max_digits=24, decimal_places=8, null=True)
)
STATES = tuple(
    Option(state.code, state.words, Q(Exact(STATE, Value(state.code)))) for state in reversed(ACCOUNT_STATES.values())
)


def currencies(membership: Membership) -> list[Option]:
    """The currencies of the accounts one may see, for staff at most a minute old: to find them reads every account."""

    def read() -> list[str]:
        accounts = Subscriber.objects.visible_to(membership).exclude(currency="").order_by("currency")
        return list(accounts.values_list("currency", flat=True).distinct())

    if not membership.is_staff_role:
        return [Option(code, code) for code in read()]
    codes = cache.get_or_set(f"account-currencies:{membership.workspace_id}", read, CURRENCIES_KEPT_S) or []
    return [Option(code, code) for code in codes]


def strategy_options(membership: Membership) -> list[Option]:
    """The strategies of the workspace by name; for a client only those that the client's own accounts copy."""
    strategies = Strategy.objects.visible_to(membership)
    if not membership.is_staff_role:
        accounts = Subscriber.objects.visible_to(membership)
        copied = Subscription.objects.filter(
            subscriber__in=accounts,
            subscriber__connection=models.OuterRef("connection"),
            strategy_backend_id=models.OuterRef("backend_id"),
        )
        strategies = Strategy.objects.filter(models.Exists(copied), workspace_id=membership.workspace_id)
    names = strategies.order_by("name").values_list("backend_id", "name")[:500]
    return [Option(backend_id, name) for backend_id, name in names]


def ids_of(membership: Membership, typed: str) -> list[str]:
    """Backend ids of the accounts one may see whose id is what was typed; without one, of those with it in the name.

    Always a list: of a subquery the planner guesses that it gives few, and reads all deals of thousands of accounts to
    show the newest. Raises BadParameter where too many have it in the name.
    """
    accounts = Subscriber.objects.visible_to(membership)
    if accounts.filter(backend_id=typed).exists():
        return [typed]
    ids = accounts.filter(name__icontains=typed).values_list("backend_id", flat=True)
    listed = list(ids[: MOST_IDS + 1])
    if len(listed) > MOST_IDS:
        raise BadParameter(f"“{typed}” is part of more than {MOST_IDS:,} names: type more of the name, or an id.")
    return listed


def figure_in_description(pattern: str) -> Func:
    """A figure in what the embedded backend tells of a stopout (`causes.figures_of`), for files; null: other words."""
    return Func(F("description"), Value(pattern), function="substring", output_field=CharField(null=True))


COLUMNS = (
    Column("name", "Subscriber", is_sortable=True),
    Column("backend_id", csv_name="id"),
    Column("state", "State", source=STATE),
    Column("currency", "Currency"),
    Column("equity", "Equity", is_number=True, is_sortable=True, hint="In the account's currency"),
    Column("balance", "Balance", is_number=True, is_sortable=True, hint="In the account's currency"),
    Column("floating", "Floating", source=FLOATING, is_number=True, hint="Equity less balance: open positions"),
    Column(
        "headroom",
        "Headroom",
        is_sortable=True,
        csv_name="headroom_fraction",
        hint="What may still be lost before the nearest risk limit fires, in the account's currency",
    ),
    Column("limit_reason", csv_name="nearest_limit"),
    Column("limit_measured"),
    Column("limit_amount"),
    Column("connection_id", in_csv=False),
    Column("result_today", source=result_today, in_table=False),
    Column("result_month", source=result_month, in_table=False),
    Column("subscription_count", in_csv=True, csv_name="subscriptions"),
    Column("measured_at"),
    Column("is_simulated"),
)
FILTERS = (
    Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),
    Choice("state", "State", placeholder="Any state", options=STATES),
    Choice("currency", "Currency", placeholder="All currencies", options=currencies),
    Choice(
        "strategy",
        "Strategy",
        field="subscriptions__strategy_backend_id",
        placeholder="All strategies",
        options=strategy_options,
    ),
    Between("equity", "Equity"),
)
SUBSCRIBERS = Listing(name="subscribers", sort="name", columns=COLUMNS, filters=FILTERS)
STRATEGY_SUBSCRIBERS = Listing(
    name="strategy-subscribers",
    sort="name",
    columns=(
        *COLUMNS,
        Column("multiplier", "Ratio", source="subscriptions__multiplier", is_number=True),
        Column("copies_close_only", source="subscriptions__close_only", csv_name="close_only"),
    ),
    filters=tuple(entry for entry in FILTERS if entry.key != "strategy"),
)
STOPOUTS = Listing(
    name="stopouts",
    sort="-ends_at",
    columns=(
        Column("stopped_at", "Since", is_sortable=True),
        Column("state", source=STOPOUT_STATE, in_table=False),
        Column("subscriber_name", "Subscriber", source="subscriber__name", csv_name="subscriber"),
        Column("subscriber_pk", source="subscriber_id", in_csv=False),
        Column("account_id", source="subscriber__backend_id", csv_name="subscriber_id"),
        Column("strategy_name", "Strategy", source="strategy__name", csv_name="strategy"),
        Column("strategy_pk", source="strategy_id", in_csv=False),
        Column("strategy_backend_id", csv_name="strategy_id"),
        Column("reason", "Cause"),
        Column("description", csv_name="cause"),
        Column("measured", source=figure_in_description(r"Drawdown ([0-9.]+) [A-Z]{3} "), in_table=False),
        Column("currency", source=figure_in_description(r"Drawdown [0-9.]+ ([A-Z]{3}) "), in_table=False),
        Column(
            "limit_amount", source=figure_in_description(r"reached the limit ([0-9.]+)(?= or | \()"), in_table=False
        ),
        Column("limit_percent", source=figure_in_description(r"([0-9.e+-]+) % of [0-9.]+"), in_table=False),
        Column("set_by", source=figure_in_description(r"\([a-z-]+, ([^()]*)"), in_table=False),
        Column("close_positions", csv_name="closed_positions"),
        Column("ends_at", "Ends", source=ENDS_AT, is_sortable=True, in_csv=False),
        Column("stopped_till"),
        Column("ended_at", csv_name="reset_at"),
    ),
    filters=(
        Search(
            "q", "Search", placeholder="Search by subscriber", fields=("subscriber__name", "subscriber__backend_id")
        ),
        Choice(
            "state",
            "State",
            placeholder="Active and past",
            options=(Option("active", "Active", IS_ACTIVE), Option("past", "Past", ~IS_ACTIVE)),
        ),
        Choice(
            "reason",
            "Cause",
            placeholder="Any cause",
            options=[Option(code, cause_of(code).removesuffix(" reached its limit")) for code in STOPOUT_REASONS],
        ),
        DayRange("period", "Period", field="stopped_at"),
    ),
)
