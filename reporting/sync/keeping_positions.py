"""Open positions and signals into their rows: what is as it was is not written, what is gone is taken away.

No request is made here. Amounts are rounded to what the columns keep before they are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection
from django.db.models import Q

from copying.contract.accounts import OpenSignalRecord
from copying.contract.documents import ExternalSignal
from copying.contract.terminal import TerminalPosition
from reporting.open_book import SignalState
from strategies.models import Kind, Strategy, StrategyQuerySet
from users.models import Connection


@dataclass(frozen=True)
class SignalRow:
    """A signal that its provider has. Prices are null where the provider tells none."""

    strategy_id: str
    signal_id: str
    state: str
    is_external: bool
    symbol: str
    side: str
    lots: Decimal
    open_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: datetime


def keep_positions(
    backend: Connection, positions: Iterable[tuple[str, TerminalPosition]], *, now: datetime
) -> tuple[int, set[tuple[str, str]]]:
    """Insert or change positions (account, position); returns how many differ now, and the keys of all.

    A copy whose signal the backend has forgotten keeps the one that it was told to be of before.
    """
    rows = {(account[:64], str(position.id)[:64]): _row(account, position) for account, position in positions}
    if not rows:
        return 0, set()
    with connection.cursor() as database:
        columns = [list(column) for column in zip(*rows.values(), strict=True)]
        database.execute(_KEEP, [backend.workspace_id, backend.pk, now, *columns])
        return database.rowcount, set(rows)


def _row(account: str, position: TerminalPosition) -> tuple:
    return (
        account[:64],
        str(position.id)[:64],
        (position.strategy_id or "")[:64],
        (position.source_strategy_id or position.strategy_id or "")[:64],
        (position.source_position_id or "")[:64],
        position.symbol[:64],
        "buy" if position.is_bought else "sell",
        position.volume,
        position.open_price,
        position.current_price,
        position.stop_loss or None,  # some terminals write 0 for none
        position.take_profit or None,
        position.floating,
        position.swap,
        position.commission,
        position.time,
    )


_KEEP = """
    INSERT INTO reporting_openposition AS p (workspace_id, connection_id, changed_at, subscriber_id, position_id,
        strategy_id, source_strategy_id, signal_id, symbol, side, lots, open_price, current_price, stop_loss,
        take_profit, floating, swap, commission, opened_at)
    SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::numeric(24, 8)[], %s::numeric(26, 10)[], %s::numeric(26, 10)[], %s::numeric(26, 10)[],
        %s::numeric(26, 10)[], %s::numeric(24, 8)[], %s::numeric(24, 8)[], %s::numeric(24, 8)[], %s::timestamptz[])
    ON CONFLICT (connection_id, subscriber_id, position_id) DO UPDATE SET changed_at = excluded.changed_at,
        strategy_id = coalesce(nullif(excluded.strategy_id, ''), p.strategy_id),
        source_strategy_id = coalesce(nullif(excluded.source_strategy_id, ''), p.source_strategy_id),
        signal_id = coalesce(nullif(excluded.signal_id, ''), p.signal_id),
        symbol = excluded.symbol, side = excluded.side, lots = excluded.lots, open_price = excluded.open_price,
        current_price = excluded.current_price, stop_loss = excluded.stop_loss, take_profit = excluded.take_profit,
        floating = excluded.floating, swap = excluded.swap, commission = excluded.commission,
        opened_at = excluded.opened_at
    WHERE (p.strategy_id, p.source_strategy_id, p.signal_id) IS DISTINCT FROM (
            coalesce(nullif(excluded.strategy_id, ''), p.strategy_id),
            coalesce(nullif(excluded.source_strategy_id, ''), p.source_strategy_id),
            coalesce(nullif(excluded.signal_id, ''), p.signal_id))
        OR (p.symbol, p.side, p.lots, p.open_price, p.current_price, p.stop_loss, p.take_profit, p.floating, p.swap,
            p.commission, p.opened_at) IS DISTINCT FROM
           (excluded.symbol, excluded.side, excluded.lots, excluded.open_price, excluded.current_price,
            excluded.stop_loss, excluded.take_profit, excluded.floating, excluded.swap, excluded.commission,
            excluded.opened_at)
"""


def drop_positions(backend: Connection, *, but: set[tuple[str, str]], accounts: Sequence[str] | None = None) -> int:
    """Take away what is not open any more, of these accounts or (None) of all; returns how many rows those were."""
    keys = sorted(but)
    with connection.cursor() as database:
        database.execute(
            "DELETE FROM reporting_openposition p WHERE connection_id = %s"
            " AND (%s::text[] IS NULL OR subscriber_id = ANY(%s)) AND NOT EXISTS (SELECT FROM"
            " unnest(%s::text[], %s::text[]) AS k (account, position) WHERE k.account = p.subscriber_id"
            " AND k.position = p.position_id)",
            [
                backend.pk,
                None if accounts is None else list(accounts),
                None if accounts is None else list(accounts),
                [account for account, _ in keys],
                [position for _, position in keys],
            ],
        )
        return database.rowcount


def drop_other_accounts(backend: Connection, accounts: Sequence[str]) -> int:
    """Take away what belongs to accounts that are not asked any more; returns how many rows those were."""
    with connection.cursor() as database:
        database.execute(
            "DELETE FROM reporting_openposition WHERE connection_id = %s AND NOT (subscriber_id = ANY(%s))",
            [backend.pk, list(accounts)],
        )
        return database.rowcount


def link_copies(backend: Connection, accounts: Sequence[str] | None = None) -> int:
    """Name the signal of copies by their opening deals, where the terminal does not; returns how many were named.

    accounts: whose positions to look at; None: of all, those that are known to be copies. A deal of a portfolio leaves
    the strategy to `link_members`.
    """
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_openposition p SET strategy_id = deal.strategy_id, signal_id = deal.position_id,"
            " source_strategy_id = coalesce(nullif(p.source_strategy_id, ''), deal.strategy_id)"
            " FROM reporting_openposition own CROSS JOIN LATERAL ("
            " SELECT t.strategy_id, t.position_id FROM reporting_transaction t"
            " WHERE t.workspace_id = own.workspace_id AND t.connection_id = own.connection_id"
            " AND t.subscriber_id = own.subscriber_id AND t.subscriber_position_id = own.position_id"
            " AND t.position_id <> '' AND t.time >= own.opened_at - interval '1 day' ORDER BY t.time, t.id LIMIT 1)"
            " deal WHERE p.id = own.id AND own.connection_id = %s AND own.signal_id = ''"
            " AND CASE WHEN %s::text[] IS NULL THEN own.strategy_id <> '' ELSE own.subscriber_id = ANY(%s) END",
            [backend.pk, *[None if accounts is None else list(accounts)] * 2],
        )
        return database.rowcount


def link_members(backend: Connection, leaves: dict[str, list[str]]) -> int:
    """Of copies that came by a portfolio, find the member whose open signal it is; returns how many were found.

    leaves: by portfolio, the strategies that it is made of in the end.
    """
    pairs = [(portfolio, leaf) for portfolio, own in leaves.items() for leaf in own]
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_openposition p SET source_strategy_id = o.strategy_id FROM reporting_opentrade o"
            " JOIN unnest(%s::text[], %s::text[]) AS m (portfolio, leaf) ON m.leaf = o.strategy_id"
            " WHERE p.connection_id = %s AND o.connection_id = p.connection_id AND p.source_strategy_id = m.portfolio"
            " AND o.signal_id = p.signal_id AND p.signal_id <> ''",
            [[portfolio for portfolio, _ in pairs], [leaf for _, leaf in pairs], backend.pk],
        )
        return database.rowcount


# ----------------------------------------------------------------------------------------------------------- signals


def keep_signals(
    backend: Connection, signals: Iterable[SignalRow], *, whole: Iterable[tuple[str, bool]] | None = None
) -> int:
    """Insert or change what providers have open; returns how many rows differ now.

    whole: (strategy, whether its external signals) of which these are all; None: these are all that there are. What is
    not among them any more was closed by its provider.
    """
    rows = {(signal.strategy_id, signal.signal_id): signal for signal in signals}
    changed = _close_others(backend, rows, whole)
    if not rows:
        return changed
    columns = zip(*(_signal_values(row) for row in rows.values()), strict=True)
    with connection.cursor() as database:
        database.execute(_KEEP_SIGNALS, [backend.workspace_id, backend.pk, *map(list, columns)])
        return changed + database.rowcount


def _close_others(
    backend: Connection, rows: dict[tuple[str, str], SignalRow], whole: Iterable[tuple[str, bool]] | None
) -> int:
    of = None if whole is None else list(whole)
    with connection.cursor() as database:
        database.execute(
            "UPDATE reporting_opentrade o SET state = 'closed'"
            " WHERE connection_id = %s AND state IN ('open', 'pending')"
            " AND (%s OR (o.strategy_id, o.is_external) IN (SELECT * FROM unnest(%s::text[], %s::bool[])))"
            " AND NOT EXISTS (SELECT FROM unnest(%s::text[], %s::text[]) AS k (strategy, signal)"
            " WHERE k.strategy = o.strategy_id AND k.signal = o.signal_id)",
            [
                backend.pk,
                of is None,
                [strategy for strategy, _ in of or ()],
                [is_external for _, is_external in of or ()],
                [strategy for strategy, _ in rows],
                [signal for _, signal in rows],
            ],
        )
        return database.rowcount


def _signal_values(row: SignalRow) -> tuple:
    return (
        row.strategy_id[:64],
        row.signal_id[:64],
        row.state,
        row.is_external,
        row.symbol[:64],
        row.side,
        row.lots,
        row.open_price,
        row.stop_loss,
        row.take_profit,
        row.opened_at,
    )


_KEEP_SIGNALS = """
    INSERT INTO reporting_opentrade AS o (workspace_id, connection_id, copies, accounts, copied_lots, unread,
        floatings, currency, strategy_id, signal_id, state, is_external, symbol, side, lots, open_price, stop_loss,
        take_profit, opened_at)
    SELECT %s, %s, 0, 0, 0, 0, '[]', '', * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[], %s::text[],
        %s::text[], %s::numeric(24, 8)[], %s::numeric(26, 10)[], %s::numeric(26, 10)[], %s::numeric(26, 10)[],
        %s::timestamptz[])
    ON CONFLICT (connection_id, strategy_id, signal_id) DO UPDATE SET state = excluded.state,
        is_external = excluded.is_external, symbol = excluded.symbol, side = excluded.side, lots = excluded.lots,
        open_price = excluded.open_price, stop_loss = excluded.stop_loss, take_profit = excluded.take_profit,
        opened_at = excluded.opened_at
    WHERE (o.state, o.is_external, o.symbol, o.side, o.lots, o.open_price, o.stop_loss, o.take_profit, o.opened_at)
        IS DISTINCT FROM (excluded.state, excluded.is_external, excluded.symbol, excluded.side, excluded.lots,
        excluded.open_price, excluded.stop_loss, excluded.take_profit, excluded.opened_at)
"""


def row_of_record(signal: OpenSignalRecord) -> SignalRow:
    """A signal as our backend tells it."""
    return SignalRow(
        strategy_id=signal.strategy_id,
        signal_id=signal.id,
        state=SignalState.OPEN if signal.type == "market" else SignalState.PENDING,
        is_external=signal.external,
        symbol=signal.symbol,
        side=signal.side,
        lots=signal.volume,
        open_price=signal.open_price,
        stop_loss=signal.stop_loss,
        take_profit=signal.take_profit,
        opened_at=signal.time,
    )


def providing(backend: Connection) -> StrategyQuerySet:
    """Strategies whose signals may be open: offered ones, and those that the backend still winds down."""
    is_there = Q(is_removed=False) | Q(document__has_key="closeOnRemovalMode")
    return Strategy.objects.filter(is_there, connection=backend, kind=Kind.SINGLE)


def rows_of_provider(
    backend: Connection, positions: Iterable[tuple[str, TerminalPosition]], accounts: Sequence[str]
) -> tuple[list[SignalRow], list[tuple[str, bool]]]:
    """What providers' accounts have open as signals of their strategies, and of which strategies that is all."""
    strategies = providing(backend).filter(account_id__in=list(accounts)).values_list("backend_id", "account_id")
    of_account: dict[str, list[str]] = {}
    for backend_id, account_id in strategies:
        of_account.setdefault(account_id, []).append(backend_id)
    rows = [
        SignalRow(
            strategy_id=strategy,
            signal_id=str(position.id),
            state=SignalState.OPEN,
            is_external=False,
            symbol=position.symbol,
            side="buy" if position.is_bought else "sell",
            lots=position.volume,
            open_price=position.open_price,
            stop_loss=position.stop_loss or None,
            take_profit=position.take_profit or None,
            opened_at=position.time,
        )
        for account, position in positions
        for strategy in of_account.get(account, ())
    ]
    return rows, [(strategy, False) for own in of_account.values() for strategy in own]


def row_of_external(strategy_id: str, signal: ExternalSignal) -> SignalRow:
    """An external signal (S2)."""
    is_pending = signal.type.startswith("ORDER_TYPE")

    def price(value: float | None) -> Decimal | None:
        return None if not value else Decimal(str(value))

    return SignalRow(
        strategy_id=strategy_id,
        signal_id=signal.id,
        state=SignalState.PENDING if is_pending else SignalState.OPEN,
        is_external=True,
        symbol=signal.symbol,
        side="buy" if "BUY" in signal.type else "sell",
        lots=Decimal(str(signal.volume)),
        open_price=price(signal.open_price),
        stop_loss=price(signal.stop_loss),
        take_profit=price(signal.take_profit),
        opened_at=signal.time,
    )
