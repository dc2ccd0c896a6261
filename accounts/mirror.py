"""Brings trading accounts of a backend into the portal's rows, any number in one statement. No request is made here.

Of a document only what pages show is kept: whatever else an API may send, a secret among it, is not stored. Where
nothing is other, only the time of seeing or measuring is written, every few minutes: one of ten thousand accounts that
stand still is not to cost a row and its index entries at each look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from accounts.models import BrokerAccount
from copying.contract.accounts import AccountInformation, plausible_leverage
from copying.contract.terminal import CONTEST, DEMO, HEDGING, REAL, TerminalInformation
from users.models import Connection

MARKED_EVERY = timedelta(minutes=5)
LONGEST_TROUBLE = 300
KIND_OF = {DEMO: "demo", CONTEST: "contest", REAL: "real"}
SHOWN = (
    "type",
    "reliability",
    "resourceSlots",
    "copyFactoryResourceSlots",
    "baseCurrency",
    "magic",
    "manualTrades",
    "slippage",
    "quoteStreamingIntervalInSeconds",
    "tags",
    "riskManagementApiEnabled",
    "metastatsApiEnabled",
    "provisioningProfileId",
    "createdAt",
)


def account_id_of(document: Mapping[str, Any]) -> str:
    """The id of an account in a list; "" where it has none that can be kept."""
    value = document.get("_id")
    return value if isinstance(value, str) and 0 < len(value) <= 64 else ""


def keep_accounts(backend: Connection, documents: Iterable[Mapping[str, Any]], *, now: datetime) -> int:
    """Insert or change the rows of these documents (P3); returns how many differ now. Replicas are left out."""
    rows = {account_id_of(document): _row(document) for document in documents if not document.get("primaryAccountId")}
    rows.pop("", None)
    if not rows:
        return 0
    values: list[Any] = [backend.workspace_id, backend.pk, now, now, *map(list, zip(*rows.values(), strict=True))]
    with connection.cursor() as database:
        database.execute(_KEEP, [*values, MARKED_EVERY.total_seconds()])
        return sum(is_other for (is_other,) in database.fetchall())


def _row(document: Mapping[str, Any]) -> tuple[Any, ...]:
    roles = document.get("copyFactoryRoles")
    roles = roles if isinstance(roles, list) else []
    account_id, version = account_id_of(document), document.get("version")
    columns = (
        account_id,
        _text(document, "name", 200) or account_id,
        _text(document, "login", 40),
        _text(document, "server", 200),
        f"mt{version}" if version in (4, 5) else "",
        _text(document, "state", 40),
        _text(document, "connectionStatus", 40),
        _text(document, "region", 60),
        "PROVIDER" in roles,
        "SUBSCRIBER" in roles,
        msgspec.json.encode({name: document[name] for name in SHOWN if name in document}, order="sorted").decode(),
    )
    return (*columns, hashlib.sha256(repr(columns).encode()).hexdigest())


def _text(document: Mapping[str, Any], name: str, longest: int) -> str:
    """A field as text: a login may be a number."""
    value = document.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value[:longest] if isinstance(value, str) else ""


_KEEP = """
    WITH changed AS (
        INSERT INTO accounts_brokeraccount AS a (workspace_id, connection_id, first_seen_at, seen_at, backend_id, name,
            login, server, platform, state, connection_status, region, is_provider, is_subscriber, document, revision,
            is_removed, broker, currency, previous_currency, mode, kind, trouble)
        SELECT %s, %s, %s, %s, k.*, false, '', '', '', '', '', ''
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bool[], %s::bool[], %s::jsonb[], %s::text[]) AS k
        ON CONFLICT (connection_id, backend_id) DO UPDATE SET name = excluded.name, login = excluded.login,
            server = excluded.server, platform = excluded.platform, state = excluded.state,
            connection_status = excluded.connection_status, region = excluded.region,
            is_provider = excluded.is_provider, is_subscriber = excluded.is_subscriber, document = excluded.document,
            revision = excluded.revision, is_removed = false, seen_at = excluded.seen_at
        WHERE a.revision <> excluded.revision OR a.is_removed
            OR a.seen_at < excluded.seen_at - make_interval(secs => %s)
        RETURNING a.revision, a.backend_id, a.connection_id
    )
    SELECT before.revision IS DISTINCT FROM changed.revision OR before.is_removed FROM changed
    LEFT JOIN accounts_brokeraccount before USING (connection_id, backend_id)
"""


def mark_removed(backend: Connection, backend_ids: Collection[str]) -> int:
    """Note that the backend does not have these accounts any more; returns how many were listed until now."""
    own = BrokerAccount.objects.filter(connection=backend, backend_id__in=backend_ids, is_removed=False)
    return own.update(is_removed=True)


# --------------------------------------------------------------------------------------------------------- figures


@dataclass(frozen=True)
class AccountFigures:
    """What is known of an account's money, in its own currency; None: it was not told now, and stays as it is.

    currency: "" where the account has none that is a code of three letters.
    """

    account_id: str
    currency: str
    balance: Decimal
    equity: Decimal
    leverage: Decimal | None
    measured_at: datetime
    broker: str | None = None
    mode: str | None = None
    kind: str | None = None
    may_trade: bool | None = None
    is_simulated: bool | None = None

    @classmethod
    def of_terminal(cls, account_id: str, information: TerminalInformation, now: datetime) -> AccountFigures:
        """What A1 answers."""
        margin_mode = information.margin_mode
        return cls(
            account_id,
            _code(information.currency),
            information.balance,
            information.equity,
            plausible_leverage(information.leverage),
            now,
            broker=information.broker[:200],
            mode=None if not margin_mode else "hedging" if margin_mode == HEDGING else "netting",
            kind=KIND_OF.get(information.type or ""),
            may_trade=information.trade_allowed and information.investor_mode is not True,
        )

    @classmethod
    def of_list(cls, information: AccountInformation, now: datetime) -> AccountFigures:
        """What a backend's list of balances says of one account."""
        return cls(
            information.account_id,
            _code(information.currency),
            information.balance,
            information.equity,
            plausible_leverage(information.leverage),
            information.time or now,
            is_simulated=information.simulated,
        )


def _code(currency: str) -> str:
    return currency if len(currency) == 3 else ""


def keep_figures(backend: Connection, figures: Iterable[AccountFigures]) -> int:
    """Note what accounts are worth and how they trade; returns how many differ. Older figures change nothing."""
    rows = [astuple(row) for row in {row.account_id: row for row in figures}.values()]
    if not rows:
        return 0
    with connection.cursor() as database:
        database.execute(_FIGURES, [*map(list, zip(*rows, strict=True)), backend.pk, MARKED_EVERY.total_seconds()])
        return sum(is_other for (is_other,) in database.fetchall())


_FIGURES = """
    WITH told AS (
        SELECT own.id, k.currency, k.balance, k.equity, coalesce(k.leverage, own.leverage) AS leverage, k.measured_at,
            coalesce(k.broker, own.broker) AS broker, coalesce(k.mode, own.mode) AS mode,
            coalesce(k.kind, own.kind) AS kind, coalesce(k.may_trade, own.may_trade) AS may_trade,
            coalesce(k.is_simulated, own.is_simulated) AS is_simulated, own.measured_at AS measured_before
        FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::timestamptz[], %s::text[],
            %s::text[], %s::text[], %s::bool[], %s::bool[])
            AS k (account_id, currency, balance, equity, leverage, measured_at, broker, mode, kind, may_trade,
                  is_simulated)
        JOIN accounts_brokeraccount own ON own.connection_id = %s AND own.backend_id = k.account_id
    ), other AS (
        SELECT told.*, (own.currency, own.balance, own.equity, own.leverage, own.broker, own.mode, own.kind,
            own.may_trade, own.is_simulated) IS DISTINCT FROM (told.currency, told.balance::numeric(24, 8),
            told.equity::numeric(24, 8), told.leverage::numeric(10, 2), told.broker, told.mode, told.kind,
            told.may_trade, told.is_simulated) AS is_other
        FROM told JOIN accounts_brokeraccount own USING (id)
    )
    UPDATE accounts_brokeraccount a SET
        previous_currency = CASE WHEN a.currency <> '' AND other.currency <> '' AND a.currency <> other.currency
            THEN a.currency ELSE a.previous_currency END,
        currency_changed_at = CASE WHEN a.currency <> '' AND other.currency <> '' AND a.currency <> other.currency
            THEN other.measured_at ELSE a.currency_changed_at END,
        currency = other.currency, balance = other.balance, equity = other.equity, leverage = other.leverage,
        broker = other.broker, mode = other.mode, kind = other.kind, may_trade = other.may_trade,
        is_simulated = other.is_simulated, measured_at = other.measured_at, trouble = ''
    FROM other
    WHERE a.id = other.id AND (measured_before IS NULL OR is_other AND measured_before <= other.measured_at
        OR measured_before <= other.measured_at - make_interval(secs => %s))
    RETURNING is_other
"""


def note_asked(backend: Connection, troubles: Mapping[str, str], *, now: datetime) -> None:
    """Note who has had their turn: the sentence why an account's terminal did not answer, "" where it did."""
    with connection.cursor() as database:
        database.execute(
            "UPDATE accounts_brokeraccount a SET asked_at = %s, trouble = left(k.trouble, %s)"
            " FROM unnest(%s::text[], %s::text[]) AS k (account_id, trouble)"
            " WHERE a.connection_id = %s AND a.backend_id = k.account_id",
            [now, LONGEST_TROUBLE, list(troubles), list(troubles.values()), backend.pk],
        )
