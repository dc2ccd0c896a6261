"""What every page shows around its content: addresses one may go to, workspaces, freshness of the mirror, demo badge.

The context processor gives one lazy object; a part of a page that shows none of it costs no query, a page two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import cast

import redis
from django.contrib.postgres.aggregates import ArrayAgg, BoolOr, JSONBAgg
from django.db.models import Count, Exists, F, JSONField, Max, Min, OuterRef, Q, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import JSONObject
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from copyportal import heartbeats, watch
from reporting.models import SyncKind
from reporting.rights import missing_rights
from reporting.states import STALE_AFTER
from subscribers.models import Stopout, Subscriber
from users.models import Connection, Membership
from users.permissions import can_manage, can_own
from users.unsent import Unsent, take

# a call that the backend does not offer is asked for once an hour and is not late in between
OFFERED = Q(sync_states__cursor__is_offered__isnull=True)


@dataclass(frozen=True)
class Place:
    """An entry of the side bar. `key` is what a page names as its place, `go` the letter after g on the keyboard."""

    key: str
    label: str
    icon: str
    address: str
    go: str
    on_phone: bool = False

    @property
    def href(self) -> str:
        return reverse(self.address)


STAFF_PLACES = (
    Place("overview", "Overview", "layout-dashboard", "reporting:overview", "o", on_phone=True),
    Place("strategies", "Strategies", "chart-line", "strategies:list", "s", on_phone=True),
    Place("positions", "Positions", "table", "reporting:positions", "i"),
    Place("subscribers", "Subscribers", "users", "subscribers:list", "u", on_phone=True),
    Place("trading-accounts", "Accounts", "building-bank", "accounts:list", "a"),
    Place("stopouts", "Stopouts", "shield-x", "subscribers:stopouts", "p"),
    Place("decisions", "Decisions", "route", "reporting:decisions", "d"),
    Place("transactions", "Transactions", "arrows-exchange", "reporting:transactions", "t", on_phone=True),
    Place("commissions", "Commissions", "receipt-2", "reporting:commissions", "c"),
    Place("log", "Log", "list-details", "reporting:log", "l"),
    Place("sync", "Sync", "refresh", "reporting:sync", "y"),
    Place("jobs", "Jobs", "activity", "jobs:list", "j"),
    Place("settings", "Settings", "settings", "users:settings", "e"),
)
SUBSCRIBER_PLACES = (
    Place("me", "My accounts", "wallet", "reporting:me", "o", on_phone=True),
    Place("positions", "Positions", "table", "reporting:own-positions", "i"),
    Place("decisions", "Decisions", "route", "reporting:own-decisions", "d", on_phone=True),
    Place("statements", "Statements", "receipt-2", "reporting:own-statements", "c", on_phone=True),
    Place("transactions", "Transactions", "arrows-exchange", "reporting:transactions", "t", on_phone=True),
    Place("agreements", "Agreements", "shield-check", "reporting:own-agreements", "a"),
)


@cache
def is_served(address: str) -> bool:
    """Whether this installation has the page."""
    try:
        return bool(reverse(address))
    except NoReverseMatch:
        return False


@dataclass(frozen=True)
class Freshness:
    """How old the mirror is. `state` is none (no connection), never, fresh, stale or failing.

    last_success_at: of the kind that is oldest; `hint` names it.
    """

    state: str
    text: str
    last_success_at: object = None
    hint: str = "State of the mirror of the backend"


@dataclass(frozen=True)
class NextStep:
    """The next thing that this person can do about an empty list; without an address: who does it."""

    text: str
    href: str = ""
    action: str = ""


INTERRUPTED = "Copying is interrupted or late at the moment. What these pages show of your accounts may be old."
EXISTING = "What exists at the copying backend already appears after the next sync."
FIRST_STEPS = {
    "strategy": (
        "A strategy offers the trades of an account, or signals, for copying.",
        "strategies:new",
        "New strategy",
    ),
    "subscriber": (
        "A subscriber is a client's account that copies strategies.",
        "subscribers:new",
        "New subscriber",
    ),
    "account": (
        "A trading account is an account at a broker that is copied from or to.",
        "accounts:new",
        "Add an account",
    ),
}


class Frame:
    """The frame of one request."""

    def __init__(self, request: HttpRequest):
        self.request = request

    @property
    def theme(self) -> str:
        """What the person chose: light, dark, or empty for the system's."""
        chosen = self.request.COOKIES.get("theme", "")
        return chosen if chosen in ("light", "dark") else ""

    @property
    def zone(self) -> str:
        """The zone the person chose for times; empty: the browser's own."""
        return getattr(getattr(self.request, "user", None), "timezone", "")

    @property
    def membership(self) -> Membership | None:
        return getattr(self.request, "membership", None)

    @property
    def may_manage(self) -> bool:
        """Whether the person sees the buttons that change trading settings."""
        return can_manage(self.membership)

    @property
    def may_own(self) -> bool:
        """Whether the person connects backends and invites people."""
        return can_own(self.membership)

    @cached_property
    def _missing(self) -> dict[int | None, dict[str, str]]:
        """Why figures are not known, by connection and kind; under None what no connection offers."""
        if self.membership is None:
            return {}
        is_staff = self.membership.is_staff_role
        kinds_of: dict[int | None, set[str]] = {}
        for refusal in self.state["refusals"]:
            kinds_of.setdefault(refusal["connection"], set()).add(refusal["kind"])
        missing = {key: missing_rights(kinds, (), is_staff=is_staff) for key, kinds in kinds_of.items()}
        everywhere = set().union(*kinds_of.values())
        return missing | {None: missing_rights(everywhere, self.state["offered_kinds"], is_staff=is_staff)}

    def why_unknown(self, kind: str, otherwise: str, connection_id: int | None = None) -> str:
        """Why a figure of a kind of sync is not known, and what would bring it; `otherwise`: it is offered.

        connection_id: of the account or strategy whose figure it is; None: it is of all that the person sees.
        """
        return self._missing.get(connection_id, {}).get(kind, otherwise)

    def lacks(self, kind: str, connection_id: int | None = None) -> bool:
        """Whether the connection does not offer a kind of sync; without one, whether none of them does."""
        return kind in self._missing.get(connection_id, {})

    def partly_lacks(self, kind: str) -> bool:
        """Whether some connections offer a kind of sync and others do not: nothing holds for all accounts."""
        return not self.lacks(kind) and any(kind in kinds for kinds in self._missing.values())

    def first_step(self, kind: str) -> NextStep:
        """Of an empty list of a kind of FIRST_STEPS: connect, then make one; for others, who does it."""
        if not self.state["connections"]:
            if self.may_own:
                text = "It begins with a copying backend: connect one with its address and token."
                return NextStep(text, reverse("users:connection-new"), "Connect a backend")
            return NextStep("It begins with a copying backend. The owner of the workspace connects one.")
        about, address, action = FIRST_STEPS[kind]
        if self.may_manage:
            return NextStep(f"{about} {EXISTING}", reverse(address), action)
        return NextStep(f"{about} The owner or a manager of the workspace makes the first one. {EXISTING}")

    @property
    def places(self) -> tuple[Place, ...]:
        if self.membership is None:
            return ()
        places = STAFF_PLACES if self.membership.is_staff_role else SUBSCRIBER_PLACES
        return tuple(place for place in places if is_served(place.address))

    @property
    def phone_places(self) -> list[Place]:
        return [place for place in self.places if place.on_phone]

    @property
    def unsent(self) -> Unsent | None:
        """What somebody typed on this page before they were signed out."""
        return take(self.request)

    @cached_property
    def memberships(self) -> list[Membership]:
        """Everything the person may switch to, by name."""
        memberships = getattr(self.request, "memberships", [])
        return sorted(memberships, key=lambda membership: membership.workspace.name)

    @cached_property
    def state(self) -> dict:
        """One row about the workspace's connections, their syncs and open stopouts."""
        membership = cast(Membership, self.membership)  # pages for strangers do not ask
        workspace_id = membership.workspace_id
        stopped = Stopout.objects.filter(workspace_id=workspace_id).active(timezone.now())
        own = Connection.objects.filter(workspace_id=workspace_id, is_enabled=True)
        if not membership.is_staff_role:  # a client's page is about the connections of their accounts alone
            accounts = Subscriber.objects.visible_to(membership)
            own = own.filter(pk__in=accounts.values("connection_id"))
        return own.aggregate(
            connections=Count("id", distinct=True),
            simulated=Count("id", distinct=True, filter=Q(market_is_simulated=True)),
            failing=Count("sync_states", filter=Q(sync_states__failing_since__isnull=False)),
            waiting=Count("sync_states", filter=Q(sync_states__last_success_at=None)),
            oldest=Min("sync_states__last_success_at", filter=OFFERED),
            failing_kinds=_kinds(Q(sync_states__failing_since__isnull=False)),
            by_age=_kinds(OFFERED & Q(sync_states__last_success_at__isnull=False)),
            late_kinds=_kinds(OFFERED & Q(sync_states__last_success_at__lt=timezone.now() - STALE_AFTER)),
            refusals=JSONBAgg(
                JSONObject(connection="id", kind="sync_states__kind"),
                filter=Q(sync_states__cursor__is_offered=False),
                default=Value([], JSONField()),
            ),
            offered_kinds=_kinds(OFFERED),
            newest=Max("sync_states__last_success_at"),
            clock=Max(KeyTextTransform("clock", "sync_states__cursor")),
            stopped=BoolOr(Exists(stopped.filter(connection=OuterRef("pk")))),
        )

    @property
    def badge(self) -> str:
        """The permanent label of data that is not real."""
        if self.membership is None:
            return ""
        if self.membership.workspace.is_demo:
            return "Demo · simulated market"
        simulated, connections = self.state["simulated"], self.state["connections"]
        if not simulated:
            return ""
        return "Simulated market" if simulated == connections else "Some accounts are simulated"

    @property
    def marks_accounts(self) -> bool:
        """Whether rows of lists are marked one by one: the badge says it where all accounts are simulated."""
        is_demo = self.membership is not None and self.membership.workspace.is_demo
        return not is_demo and self.state["simulated"] != self.state["connections"]

    @cached_property
    def troubles(self) -> list[str]:
        """Sentences about copying that stands still or is late, for everybody whom it concerns; usually none."""
        if self.membership is None:
            return []
        try:
            unwell = watch.unwell_of(self.membership.workspace_id, heartbeats.client())
        except redis.RedisError:
            return []  # what pages need Redis for says so itself
        if not self.membership.is_staff_role:
            concerned = [line["connection"] for line in unwell]
            accounts = Subscriber.objects.visible_to(self.membership).filter(connection_id__in=concerned)
            return [INTERRUPTED] if unwell and accounts.exists() else []
        clock = self.state["clock"] or ""
        lines = [
            f"{line['name']} is not well: {line['why']}" for line in unwell if not clock or clock not in line["why"]
        ]
        return [clock, *lines] if clock else lines

    @property
    def freshness(self) -> Freshness:
        state = self.state
        if not state["connections"]:
            return Freshness("none", "No connection")
        hint = f"Oldest is {_named(state['by_age'][:1])}. " if state["by_age"] else ""
        if state["failing"]:
            text = f"Sync failing: {_named(state['failing_kinds'])}"
            return Freshness("failing", text, hint=f"{hint}Open the sync to see why.")
        if state["newest"] is None:
            return Freshness("never", "Not synced yet")
        if state["late_kinds"]:
            text = f"{_named(state['late_kinds']).capitalize()} last synced"
            return Freshness("stale", text, state["oldest"], f"{hint}Open the sync to see why.")
        return Freshness("fresh", "Synced", state["oldest"], f"{hint}Everything else is newer.")


def _kinds(condition: Q) -> ArrayAgg:
    """The kinds of sync that fulfil a condition, the longest without success first."""
    order = F("sync_states__last_success_at").asc(nulls_first=True)
    return ArrayAgg("sync_states__kind", filter=condition, order_by=[order], default=[])


def _named(kinds: list[str]) -> str:
    """Kinds of sync in words, two at the most: "log", "log and 3 more"."""
    names = [SyncKind(kind).label.lower() for kind in dict.fromkeys(kinds) if kind in SyncKind]
    if len(names) > 2:
        return f"{names[0]} and {len(names) - 1} more"
    return " and ".join(names)


def frame(request: HttpRequest) -> dict:
    """The context processor."""
    return {"frame": Frame(request)}
