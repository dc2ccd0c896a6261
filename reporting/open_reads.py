"""The open book as people read it: copies of a signal beside the provider's trade, who has none and why, how old it is.

Reads only, each tied to what a member may see.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Case, Count, ExpressionWrapper, F, Min, Q, QuerySet, Value, When
from django.db.models.fields import DecimalField
from django.db.models.functions import NullIf

from reporting.models import Decision, OpenPosition, OpenTrade, PositionReading, SyncKind, SyncState
from reporting.open_book import SignalState
from reporting.plainly import staff_sentence
from reporting.watching import BY_ACCOUNT
from strategies.chains import portfolios_with, strategies_of
from subscribers.models import Subscriber, accounts_copying
from users.models import Membership
from users.states import State, by_code

MOST_COPIES = 200  # of one signal on its page; all of them are in the list of positions
MOST_MISSING = 100
DECIMAL = DecimalField(max_digits=32, decimal_places=8, null=True)
SIGNAL_STATES = by_code(
    State(SignalState.OPEN, "Open", "good", "The provider has it"),
    State(SignalState.PENDING, "Waiting", "info", "The provider's order waits for its price"),
    State(SignalState.CLOSED, "Closed by the provider", "bad", "Its copies are still open"),
    State(SignalState.UNKNOWN, "Not known", "quiet", "Whether the provider still has it cannot be asked"),
)
# what a copy has of the provider's volume
RATIO = ExpressionWrapper(F("lots") / NullIf(F("signal__lots"), Value(Decimal(0))), output_field=DECIMAL)
# by how much worse for the client than the provider's price it was opened, in hundredths of a percent; of the same
# symbol only: prices of another do not compare
WORSE = F("open_price") - F("signal__open_price")
SLIPPAGE = ExpressionWrapper(
    Case(
        When(signal__symbol=F("symbol"), side="buy", then=WORSE),
        When(signal__symbol=F("symbol"), side="sell", then=F("signal__open_price") - F("open_price")),
    )
    * Value(Decimal(10_000))
    / NullIf(F("signal__open_price"), Value(Decimal(0))),
    output_field=DECIMAL,
)


def client_positions(membership: Membership) -> QuerySet[OpenPosition]:
    """Open positions of clients' accounts that one may see; not those of providers' own accounts."""
    return OpenPosition.objects.visible_to(membership).filter(subscriber__workspace_id=membership.workspace_id)


def listed_signals(membership: Membership) -> QuerySet[OpenTrade]:
    """Signals with something open: an order that waits is not, unless it has copies."""
    return OpenTrade.objects.visible_to(membership).exclude(state=SignalState.PENDING, copies=0)


def copies_of(signal: OpenTrade, membership: Membership) -> QuerySet[OpenPosition]:
    """The copies of a signal at clients' accounts by name, each with its ratio and slippage."""
    own = client_positions(membership).filter(connection_id=signal.connection_id, signal_id=signal.signal_id)
    own = own.filter(source_strategy_id=signal.strategy_id).select_related("subscriber", "strategy")
    return own.annotate(ratio=RATIO, slippage=SLIPPAGE).order_by("subscriber__name", "pk")


def account_of(position: OpenPosition) -> Subscriber:
    """The client's account that has it. Raises Subscriber.DoesNotExist for one of a provider's own account."""
    if position.subscriber is None:
        raise Subscriber.DoesNotExist
    return position.subscriber


@dataclass(frozen=True)
class MissingCopy:
    """An account that copies the strategy and has no copy of the signal. sentence: why; empty: nothing tells."""

    subscriber: Subscriber
    sentence: str
    decision_id: int | None = None


def missing_copies(signal: OpenTrade, membership: Membership) -> list[MissingCopy]:
    """At most MOST_MISSING accounts without a copy, by name, with what was decided for each."""
    if signal.state != SignalState.OPEN:
        return []
    holders = [signal.strategy_id, *portfolios_with(signal.strategy_id, strategies_of(signal.connection_id))]
    copied = OpenPosition.objects.visible_to(membership).filter(
        connection_id=signal.connection_id, source_strategy_id=signal.strategy_id, signal_id=signal.signal_id
    )
    without = accounts_copying(signal.connection_id, holders).exclude(backend_id__in=copied.values("subscriber_id"))
    accounts = list(without.order_by("name", "pk")[:MOST_MISSING])
    decisions = _decisions_of(signal, [account.backend_id for account in accounts], membership)
    readings = readings_of(signal.connection_id, [account.backend_id for account in accounts])
    return [
        _missing(signal, account, decisions.get(account.backend_id), readings.get(account.backend_id))
        for account in accounts
    ]


def _decisions_of(signal: OpenTrade, accounts: list[str], membership: Membership) -> dict[str, Decision]:
    """The newest decision of each account about the signal."""
    same = Decision.objects.visible_to(membership).filter(signal_id=signal.signal_id, subscriber_id__in=accounts)
    same = same.filter(connection_id=signal.connection_id, source_strategy_id=signal.strategy_id)
    return {decision.subscriber_id: decision for decision in same.order_by("id")}


def _missing(
    signal: OpenTrade, account: Subscriber, decision: Decision | None, reading: PositionReading | None
) -> MissingCopy:
    if reading is not None and (reading.read_at is None or reading.read_at < signal.opened_at):
        words = "Its positions were not read since the signal was opened"
        return MissingCopy(account, f"{words}: {reading.problem}" if reading.problem else f"{words}.")
    if decision is None:
        return MissingCopy(account, "")
    sentence = staff_sentence(decision)
    if decision.outcome in ("copied", "resized"):
        sentence = f"{sentence} It is not open any more."
    return MissingCopy(account, sentence, decision.pk)


def readings_of(connection_id: int, accounts: list[str]) -> dict[str, PositionReading]:
    """The readings of accounts, where they are read one by one."""
    rows = PositionReading.objects.filter(connection_id=connection_id, is_strategy=False, backend_id__in=accounts)
    return {row.backend_id: row for row in rows}


@dataclass(frozen=True)
class BookAge:
    """How old the oldest figure is. oldest_at None: nothing was read yet. unread: accounts that were never read."""

    oldest_at: datetime | None
    unread: int = 0
    troubles: int = 0


def age_of(connection_ids: Iterable[int]) -> BookAge:
    """Of everything that some connections tell; those that do not offer positions have no age."""
    states = SyncState.objects.filter(connection_id__in=list(connection_ids), kind=SyncKind.POSITIONS)
    moments, by_account = [], []
    for state in states.filter(cursor__is_offered__isnull=True):
        if BY_ACCOUNT in state.cursor:
            by_account.append(state.connection_id)
        elif state.complete_until is not None:
            moments.append(state.complete_until)
    if not by_account:
        return BookAge(min(moments, default=None))
    readings = PositionReading.objects.filter(connection_id__in=by_account, is_strategy=False).aggregate(
        oldest=Min("read_at"), unread=Count("pk", filter=Q(read_at=None)), troubles=Count("pk", filter=~Q(problem=""))
    )
    moments += [readings["oldest"]] if readings["oldest"] else []
    return BookAge(min(moments, default=None), readings["unread"], readings["troubles"])


def age_of_account(account: Subscriber) -> BookAge:
    """Of the positions of one account."""
    reading = readings_of(account.connection_id, [account.backend_id]).get(account.backend_id)
    if reading is None:
        return age_of([account.connection_id])
    return BookAge(reading.read_at, int(reading.read_at is None), int(bool(reading.problem)))
