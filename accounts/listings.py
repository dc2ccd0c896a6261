"""The list of trading accounts: columns, filters, sorts."""

from __future__ import annotations

from django.db.models import Q, Value
from django.db.models.lookups import Exact

from accounts.models import BrokerAccount
from accounts.states import BROKER_STATES, KINDS, MODES, ROLES, account_state, role_code
from users.listing import Choice, Column, Listing, Option, Search
from users.models import Connection, Membership

STATE = account_state()
ROLE_CONDITIONS = {
    "provider": Q(is_provider=True),
    "subscriber": Q(is_subscriber=True),
    "both": Q(is_provider=True, is_subscriber=True),
    "none": Q(is_provider=False, is_subscriber=False),
}
ROLE_LABELS = {"provider": "May provide", "subscriber": "May copy", "both": "May do both", "none": "May do neither"}


def or_unknown(field: str, words: dict[str, str]) -> tuple[Option, ...]:
    """The values of a field, and what nobody has told yet."""
    return (
        *(Option(code, label) for code, label in words.items()),
        Option("unknown", "Not known", Q(**{field: ""})),
    )


def connection_options(membership: Membership) -> list[Option]:
    """The workspace's connections by name."""
    own = Connection.objects.filter(workspace_id=membership.workspace_id).order_by("name")
    return [Option(name, name) for name in own.values_list("name", flat=True).distinct()]


def currency_options(membership: Membership) -> list[Option]:
    """The currencies that accounts have."""
    own = BrokerAccount.objects.visible_to(membership).exclude(currency="").order_by("currency")
    return [Option(code, code) for code in own.values_list("currency", flat=True).distinct()]


ACCOUNTS = Listing(
    name="trading-accounts",
    sort="name",
    columns=(
        Column("name", "Account", is_sortable=True),
        Column("backend_id", csv_name="id"),
        Column("role", "Role", source=role_code),
        Column("platform", "Platform"),
        Column("broker", "Broker and server", in_csv=True),
        Column("server", is_sortable=True),
        Column("login", "Login"),
        Column("account_state", "State", source=STATE, csv_name="state"),
        Column("state", csv_name="backend_state"),
        Column("connection_status"),
        Column("currency", "Currency"),
        Column("leverage", "Leverage", is_number=True, hint="How many times its own money it may hold"),
        Column("mode", "Mode", hint="Hedging accounts keep every position apart; netting accounts cannot be copied"),
        Column("kind", "Kind"),
        Column("equity", "Equity", is_number=True, is_sortable=True, hint="In the account's currency"),
        Column("balance", in_csv=True),
        Column("seen_at", "Last seen", hint="When the backend listed it last"),
        Column("measured_at"),
        Column("is_simulated"),
        Column("trouble", csv_name="trouble"),
        Column("connection_name", source="connection__name", csv_name="connection"),
        Column("connection_id", in_csv=False),
    ),
    filters=(
        Search(
            "q",
            "Search",
            placeholder="Search by name, login, server or id",
            fields=("name", "login", "server", "broker", "backend_id"),
        ),
        Choice(
            "role",
            "Role",
            placeholder="Any role",
            options=tuple(Option(code, ROLE_LABELS[code], ROLE_CONDITIONS[code]) for code in ROLES),
        ),
        Choice(
            "state",
            "State",
            placeholder="Any state",
            options=tuple(
                Option(state.code, state.words, Q(Exact(STATE, Value(state.code)))) for state in BROKER_STATES.values()
            ),
        ),
        Choice("mode", "Mode", placeholder="Any mode", options=or_unknown("mode", MODES)),
        Choice("kind", "Kind", placeholder="Demo and real", options=or_unknown("kind", KINDS)),
        Choice("currency", "Currency", placeholder="All currencies", options=currency_options),
        Choice(
            "connection",
            "Connection",
            field="connection__name",
            placeholder="All connections",
            options=connection_options,
        ),
    ),
)
