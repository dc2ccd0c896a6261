"""The lists of what is open: signals with their copies, positions of accounts, and what a client sees of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.db.models import Exists, OuterRef, Q

from reporting import open_reads
from reporting.models import OpenPosition
from reporting.open_book import SignalState
from reporting.views.history import STRATEGY, SUBSCRIBER
from subscribers.listings import ids_of, strategy_options
from users.listing import Choice, Column, Listing, NameSearch, Option, Search, Text, with_ids

SIDES = (Option("buy", "Buy"), Option("sell", "Sell"))


@dataclass(frozen=True)
class StrategyOf(Choice):
    """Copies by a strategy, whether it was subscribed to itself or as a member of a portfolio."""

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        return queryset.filter(Q(strategy_id=value) | Q(source_strategy_id=value)) if value else queryset


@dataclass(frozen=True)
class CopiedBy(NameSearch):
    """Signals of which an account has a copy."""

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        if not value:
            return queryset
        copies = OpenPosition.objects.filter(
            connection_id=OuterRef("connection_id"),
            source_strategy_id=OuterRef("strategy_id"),
            signal_id=OuterRef("signal_id"),
        )
        return queryset.filter(Exists(with_ids(copies, "subscriber_id", self.ids(membership, value))))


SIGNALS = Listing(
    name="positions",
    sort="-opened_at",
    columns=(
        Column("symbol", "Symbol", is_sortable=True),
        Column("side"),
        Column("strategy_name", "Strategy", source="strategy__name", csv_name="strategy"),
        Column("strategy_id"),
        Column("strategy_pk", source="strategy__pk", in_csv=False),
        Column("signal_id"),
        Column("state"),
        Column("is_external"),
        Column("lots", "Lots", is_number=True, hint="The provider's volume"),
        Column("open_price", "Entry", is_number=True, hint="The provider's price"),
        Column("current_price", "Price now", is_number=True),
        Column("floating", "Provider's result", is_number=True, hint="What closing the provider's own would bring"),
        Column("currency", csv_name="provider_currency"),
        Column("copies", "Copies", is_number=True, is_sortable=True),
        Column("accounts"),
        Column("copied_lots", in_table=False),
        Column("missing"),
        Column("unread"),
        Column("floatings", "Copies' result", is_number=True, in_csv=False, hint="By currency of the accounts"),
        Column("opened_at", "Since", is_sortable=True),
        Column("connection_id", in_csv=False),
    ),
    filters=(
        Search(
            "q", "Search", placeholder="Symbol, strategy or signal", fields=("symbol", "strategy__name", "signal_id")
        ),
        Choice("strategy", "Strategy", field="strategy_id", placeholder="All strategies", options=strategy_options),
        CopiedBy("subscriber", "Subscriber", placeholder="Subscriber name or id", ids=ids_of),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("side", "Side", placeholder="Both sides", options=SIDES),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=(
                Option("missing", "Copies missing", Q(missing__gt=0)),
                Option("extra", "Closed by the provider", Q(state=SignalState.CLOSED)),
                Option("open", "Open", Q(state=SignalState.OPEN)),
            ),
        ),
    ),
)
POSITIONS = Listing(
    name="open-positions",
    sort="-opened_at",
    columns=(
        Column("symbol", "Symbol", is_sortable=True),
        Column("side"),
        *SUBSCRIBER,
        *STRATEGY,
        Column("source_strategy_id", in_table=False),
        Column("lots", "Lots", is_number=True),
        Column("ratio", "Ratio", source=open_reads.RATIO, is_number=True, hint="Of the provider's volume"),
        Column("open_price", "Entry", is_number=True),
        Column(
            "slippage",
            "Slippage",
            source=open_reads.SLIPPAGE,
            is_number=True,
            csv_name="slippage_bp",
            hint="How much worse than the provider's price, in hundredths of a percent",
        ),
        Column("current_price", "Price now", is_number=True),
        Column("stop_loss", "Stop loss", is_number=True),
        Column("take_profit", "Take profit", is_number=True),
        Column("floating", "Floating", is_number=True, hint="What closing it would bring, in the account's currency"),
        Column("currency", source="subscriber__currency"),
        Column("swap", in_table=False),
        Column("commission", in_table=False),
        Column("opened_at", "Since", is_sortable=True),
        Column("changed_at"),
        Column("signal_id"),
        Column("signal_state", source="signal__state"),
        Column("signal_pk", source="signal__pk", in_csv=False),
        Column("position_id"),
        Column("connection_id", in_csv=False),
    ),
    filters=(
        Search(
            "q",
            "Search",
            placeholder="Symbol, account or id",
            fields=("symbol", "subscriber__name", "subscriber_id", "position_id", "signal_id"),
        ),
        StrategyOf("strategy", "Strategy", placeholder="All strategies", options=strategy_options),
        NameSearch("subscriber", "Subscriber", field="subscriber_id", placeholder="Subscriber name or id", ids=ids_of),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("side", "Side", placeholder="Both sides", options=SIDES),
        Text("signal", "Signal", field="signal_id", placeholder="Signal id"),
    ),
)
# what tells of the provider's account is not for clients
OF_PROVIDER = ("source_strategy_id", "ratio", "slippage", "signal_id", "signal_state", "signal_pk")


def without(listing: Listing, *keys: str) -> Listing:
    """A list without filters that its page has decided already."""
    return replace(listing, filters=tuple(filter_ for filter_ in listing.filters if filter_.key not in keys))


STRATEGY_SIGNALS = without(SIGNALS, "strategy")
ACCOUNT_POSITIONS = without(POSITIONS, "subscriber")
OWN_POSITIONS = replace(
    POSITIONS,
    columns=tuple(column for column in POSITIONS.columns if column.key not in OF_PROVIDER),
    filters=(
        NameSearch("account", "Account", field="subscriber_id", placeholder="Account name or id", ids=ids_of),
        StrategyOf("strategy", "Strategy", placeholder="All strategies", options=strategy_options),
        Text("symbol", "Symbol", placeholder="Symbol"),
        Choice("side", "Side", placeholder="Both sides", options=SIDES),
    ),
)
