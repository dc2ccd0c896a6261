"""What a backend offers to the token of a connection: learnt from every sync, said in words with what each part costs.

The state of each kind of sync is the record: a call that is answered by 403 or 404 marks it, and is asked again once an
hour, so that a right that comes or goes is known without anybody's test. Whatever a page cannot know because of a
missing right says so by `missing_rights`, and never shows a zero in its place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from reporting.models import SyncKind, SyncState
from users.models import Connection
from users.states import State, by_code

REFUSED_BY = "refused_with"  # in the cursor of a kind: the status that its call was answered with


@dataclass(frozen=True)
class Right:
    """One part of a backend's API. costs: what pages lack without it; brings: what would bring it."""

    kind: SyncKind
    name: str
    costs: str
    brings: str


OF_THE_CONTRACT = "Every CopyFactory token has it; ask for a token that may read it."
OF_THE_ACCOUNTS = "It needs access to the accounts' API."
OF_OURS = "Only a backend with copyportal's additions offers it, such as the embedded one."
RIGHTS = (
    Right(SyncKind.CONFIGURATION, "Configuration", "Strategies and subscribers are not listed.", OF_THE_CONTRACT),
    Right(
        SyncKind.PROVIDED, "History of own strategies", "Copied trades are not listed and not billed.", OF_THE_CONTRACT
    ),
    Right(
        SyncKind.SUBSCRIBED,
        "History of subscriptions",
        "Trades copied from others' strategies are not listed.",
        OF_THE_CONTRACT,
    ),
    Right(SyncKind.LOGS, "Trading log", "The page Log stays empty.", OF_THE_CONTRACT),
    Right(SyncKind.STOPOUTS, "Stopouts", "Fired risk limits are not seen.", OF_THE_CONTRACT),
    Right(
        SyncKind.ACCOUNTS,
        "Balances and equity",
        "Currency, balance, equity, return and drawdown of accounts are not known, and commission accrues only where "
        "the currency is known.",
        OF_THE_ACCOUNTS,
    ),
    Right(
        SyncKind.PROVISIONING,
        "Trading accounts",
        "The page Accounts stays empty: accounts are added and started elsewhere, and forms ask for their ids.",
        OF_THE_ACCOUNTS,
    ),
    Right(SyncKind.EQUITY, "History of equity", "Curves begin with the first balance that is read here.", OF_OURS),
    Right(SyncKind.LIMITS, "Headroom of risk limits", "What is left of a limit is not known before it fires.", OF_OURS),
    Right(
        SyncKind.POSITIONS,
        "Open positions",
        "What is open now, at which price and with which result, is not known; nothing can be closed from here.",
        OF_THE_ACCOUNTS,
    ),
    Right(
        SyncKind.DECISIONS,
        "Decisions",
        "Why a trade was copied, resized or left out is not told; it is reconstructed from deals, log and settings.",
        OF_OURS,
    ),
)
BY_KIND = {right.kind: right for right in RIGHTS}
RIGHT_STATES = by_code(
    State("offered", "Offered", "good"),
    State("missing", "Not offered", "warn"),
    State("unknown", "Not asked yet", "quiet", "It is asked with the first sync"),
)


@dataclass(frozen=True)
class RightCheck:
    """A right of one connection. how: the way its state was learnt, a sentence; learnt_at: when."""

    right: Right
    state: State
    how: str
    learnt_at: datetime | None


def is_missing(state: SyncState) -> bool:
    """Whether the backend offers this kind to the token no more, or never did."""
    return state.cursor.get("is_offered") is False


def rights_of(connection: Connection) -> list[RightCheck]:
    """Every right of a connection, in the order of RIGHTS."""
    states = {state.kind: state for state in SyncState.objects.filter(connection=connection)}
    return [_check(right, states.get(right.kind)) for right in RIGHTS]


def refusals(connection_ids: Collection[int], kind: SyncKind = SyncKind.PROVISIONING) -> dict[int, str]:
    """Why connections do not offer a kind, a sentence by key; those that do, or were not asked yet, are left out."""
    missing = SyncState.objects.filter(connection__in=connection_ids, kind=kind, cursor__is_offered=False)
    right = BY_KIND[kind]
    return {state.connection_id: f"{_check(right, state).how} {right.brings}" for state in missing}


def _check(right: Right, state: SyncState | None) -> RightCheck:
    if state is None or (state.last_success_at is None and not state.cursor.get(REFUSED_BY)):
        failing = state is not None and state.failing_since is not None
        how = f"The call fails: {state.error}" if state is not None and failing else ""
        return RightCheck(right, RIGHT_STATES["unknown"], how, state.started_at if state else None)
    if is_missing(state):
        status = state.cursor.get(REFUSED_BY, 404)
        why = "the token may not use it" if status == 403 else "the backend has no such call"
        return RightCheck(right, RIGHT_STATES["missing"], f"Answered with {status}: {why}.", state.last_success_at)
    return RightCheck(right, RIGHT_STATES["offered"], "Its last sync succeeded.", state.last_success_at)


def missing_rights(refused: Iterable[str], offered: Iterable[str], *, is_staff: bool) -> dict[str, str]:
    """Kinds that some backend refuses and none offers, each with why its figures are not known."""
    missing = set(refused) - set(offered)
    return {kind: _why(right, is_staff) for kind, right in BY_KIND.items() if kind in missing}


def _why(right: Right, is_staff: bool) -> str:
    if not is_staff:
        return "The copying service does not tell this"
    return f"Not known: the backend does not offer “{right.name}” to this token. {right.brings.rstrip('.')}"
