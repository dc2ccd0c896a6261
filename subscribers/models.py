"""Who copies what, on which terms: subscribers, their subscriptions and stopouts, mirrored from the backend."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import cached_property
from typing import Self

from django.db import models
from django.db.models import Case, CharField, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce, Now

from strategies.models import Strategy
from subscribers.agreements import Acceptance, AgreementText
from subscribers.bounds import ClientBounds
from subscribers.states import ACCOUNT_STATES, SILENT_AFTER, SUBSCRIPTION_STATES, AccountFacts
from users.models import Connection, Invitation, Membership, User, Workspace
from users.states import State
from users.syncing import failing_syncs

__all__ = ["Acceptance", "AgreementText", "ClientBounds"]  # the others are written here


class SubscriberQuerySet(models.QuerySet["Subscriber"]):
    """Every read of subscribers starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """All of the workspace for staff, only their own accounts for a subscriber."""
        own = self.filter(workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.filter(accesses__membership=membership)


class Subscriber(models.Model):
    """A client's trading account that repeats strategies. Balance and equity are in its own `currency`."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="subscribers")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="subscribers")
    backend_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    document = models.JSONField(default=dict)
    revision = models.CharField(max_length=64)
    is_removed = models.BooleanField(default=False)
    close_only = models.CharField(max_length=12, blank=True)
    first_seen_at = models.DateTimeField()
    synced_at = models.DateTimeField()
    # the newest account snapshot; null: never measured
    currency = models.CharField(max_length=3, blank=True)
    balance = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    equity = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    margin = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    leverage = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    measured_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True, help_text="When the backend was last asked for this account alone.")
    is_simulated = models.BooleanField(null=True, help_text="As the backend says of the account; null: it does not.")
    subscription_count = models.PositiveIntegerField(default=0)
    # every risk limit as the backend measured it last, and of the one nearest to firing: its reason, the loss so far,
    # the loss that is allowed (account currency) and the share that is left; null: no limit, or the backend tells none
    limits = models.JSONField(default=list, db_default=Value([], output_field=models.JSONField()))
    limit_reason = models.CharField(max_length=60, blank=True, default="", db_default="")
    limit_measured = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    limit_amount = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    headroom = models.DecimalField(max_digits=7, decimal_places=6, null=True)

    limit_words: str  # the nearest limit; put on it, like the next, by the list of those close to one
    left: Decimal | None

    objects = SubscriberQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "backend_id"], name="one_subscriber_per_id")]
        indexes = [
            models.Index(fields=["workspace", "name", "id"], name="subscriber_by_name"),
            models.Index(fields=["workspace", "equity", "id"], name="subscriber_by_equity"),
            models.Index(fields=["workspace", "balance", "id"], name="subscriber_by_balance"),
            models.Index(fields=["workspace", "headroom", "id"], name="subscriber_by_headroom"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def document_kind(self) -> str:
        """Which of the contract's documents describes it."""
        return "subscriber"

    @cached_property
    def is_currency_entered(self) -> bool:
        """Whether its currency is known only because somebody entered it."""
        entered: EnteredCurrency | None = getattr(self, "entered", None)
        return entered is not None and not entered.reported

    @cached_property
    def facts(self) -> AccountFacts:
        """What its state and those of its subscriptions follow from. Two queries."""
        unconfirmed = Case(When(account_conditions()["unconfirmed"], then=True), default=False)
        states = Subscriber.objects.filter(pk=self.pk).values_list(account_state(), unconfirmed)
        code, is_unconfirmed = states.first() or ("removed", True)
        rows = self.stopouts.active(Now()).values_list("strategy_backend_id", "document__sourceStrategy__id")
        return AccountFacts(code, is_unconfirmed, [(strategy, member or "") for strategy, member in rows])

    @property
    def pill(self) -> State:
        """Whether it copies, as every page shows it."""
        return ACCOUNT_STATES[self.facts.code]

    @cached_property
    def winding_down(self) -> set[str]:
        """Ids of strategies whose subscriptions are ended but not over: listed until nothing is open."""
        if self.is_removed and not self.document.get("closeOnRemovalMode"):
            return set()  # the account itself is gone, and its document is the last one that there was
        listed = [terms for terms in self.document.get("subscriptions") or () if isinstance(terms, dict)]
        return {terms["strategyId"] for terms in listed if terms.get("removed") and terms.get("strategyId")}

    def current_subscriptions(self) -> list[Subscription]:
        """What it copies and what still winds down, with the strategies, by their names."""
        every = self.subscriptions.select_related("strategy").order_by("strategy__name", "id")
        return [subscription for subscription in every if subscription.state != "ended"]


class EnteredCurrency(models.Model):
    """The currency of an account as a person entered it, where no account API tells it.

    reported: the currency that an API told later, which then holds; empty: none. balance: on the day of `set_at`; null:
    it was not entered.
    """

    subscriber = models.OneToOneField(Subscriber, on_delete=models.CASCADE, related_name="entered")
    currency = models.CharField(max_length=3)
    balance = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField()
    reported = models.CharField(max_length=3, blank=True, default="")

    @property
    def is_contradicted(self) -> bool:
        """Whether the account itself has another currency than was entered."""
        return bool(self.reported) and self.reported != self.currency


class SubscriberAccess(models.Model):
    """Lets a member with the subscriber role see one account."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="accesses")
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="accesses")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "subscriber"], name="one_access_per_account")]


class InvitationAccess(models.Model):
    """An account that an invited client will see."""

    invitation = models.ForeignKey(Invitation, on_delete=models.CASCADE, related_name="accesses")
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="invitations")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["invitation", "subscriber"], name="one_account_per_invitation")]


class Subscription(models.Model):
    """A subscriber's terms for one strategy or portfolio."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="subscriptions")
    strategy_backend_id = models.CharField(max_length=64)
    strategy = models.ForeignKey(Strategy, null=True, on_delete=models.SET_NULL, related_name="subscriptions")
    multiplier = models.FloatField(default=1)
    close_only = models.CharField(max_length=12, blank=True)
    is_removed = models.BooleanField(default=False)
    document = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    traded_since = models.DateField(null=True, help_text="UTC day of its first transaction; null: none is known.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "strategy_backend_id"], name="one_subscription_per_strategy")
        ]

    @property
    def state(self) -> str:
        """What becomes of new signals and of what is open: the first of `SUBSCRIPTION_STATES` that applies."""
        account, strategy_id, facts = self.subscriber, self.strategy_backend_id, self.subscriber.facts
        if self.is_removed:
            if strategy_id not in account.winding_down:
                return "ended"
            by_symbol = self.document.get("closeOnRemovalMode") == "close-gracefully-by-symbol"
            return "winding-down-by-symbol" if by_symbol else "winding-down"
        if account.is_removed:
            return "ending" if facts.code == "ending" else "ended"
        own = [member for strategy, member in facts.stopped if strategy in ("", strategy_id)]
        if own:
            return "stopped" if "" in own else "stopped-in-part"
        if self.close_only or account.close_only:
            return "close-only"
        if self.document.get("offered") is False:
            return "not-offered"
        if self.strategy is not None and self.strategy.is_removed:
            return "strategy-ending"
        return "unconfirmed" if facts.is_unconfirmed else "copying"

    @property
    def pill(self) -> State:
        """The state as every page shows it."""
        return SUBSCRIPTION_STATES[self.state]


class StopoutQuerySet(models.QuerySet["Stopout"]):
    """Every read of stopouts starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        return self.filter(subscriber__in=Subscriber.objects.visible_to(membership))

    def active(self, now) -> Self:
        """Stopouts that still refuse new trades at `now`."""
        return self.filter(ended_at=None, stopped_till__gt=now)


class Stopout(models.Model):
    """A risk limit that fired: new trades are refused from `stopped_at` until `stopped_till` or until it is reset."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="stopouts")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="stopouts")
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="stopouts")
    strategy_backend_id = models.CharField(max_length=64, blank=True, help_text="Empty: the whole account is stopped.")
    strategy = models.ForeignKey(Strategy, null=True, on_delete=models.SET_NULL, related_name="stopouts")
    reason = models.CharField(max_length=60)
    description = models.TextField(blank=True)
    is_partial = models.BooleanField(default=False)
    close_positions = models.BooleanField(default=False)
    stopped_at = models.DateTimeField()
    stopped_till = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="When it was reset; null: it ends at stopped_till.")
    sequence_number = models.BigIntegerField(null=True)
    document = models.JSONField(default=dict)
    limit_begun_anew = False  # not kept: whether the reset of this object began its limit anew at the backend
    cause: str  # in words; put on it, like the next, by the page that shows it
    is_endless: bool

    objects = StopoutQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber", "strategy_backend_id", "reason", "stopped_at"],
                name="one_stopout_per_event",
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-stopped_at", "-id"], name="stopout_by_time"),
            # the list begins with what is active: subscribers.listings.ENDS_AT
            models.Index(
                F("workspace"), Coalesce("ended_at", "stopped_till").desc(), F("id").desc(), name="stopout_by_end"
            ),
            models.Index(
                fields=["workspace", "stopped_till"], condition=models.Q(ended_at=None), name="stopout_not_reset"
            ),
        ]


def accounts_copying(connection_id: int, strategy_ids: Collection[str]) -> SubscriberQuerySet:
    """The accounts that copy one of these strategies or portfolios, by their backend ids."""
    own = Subscription.objects.filter(subscriber=OuterRef("pk"), strategy_backend_id__in=strategy_ids, is_removed=False)
    return Subscriber.objects.filter(Exists(own), connection_id=connection_id, is_removed=False)


def account_conditions() -> dict[str, Q]:
    """What has to hold for each of `ACCOUNT_STATES` but the last, in their order; each without those before it.

    Conditions of the database, so that an account's page, lists, filters and files cannot differ.
    """
    failing = failing_syncs().filter(connection_id=OuterRef("connection_id"))
    unconfirmed = Q(measured_at=None) | Q(measured_at__lt=Now() - SILENT_AFTER) | Q(connection__is_enabled=False)
    return {
        "ending": Q(is_removed=True, document__has_key="closeOnRemovalMode"),
        "removed": Q(is_removed=True),
        "stopped": Q(Exists(Stopout.objects.active(Now()).filter(subscriber=OuterRef("pk")))),
        "close-only": ~Q(close_only=""),
        "unconfirmed": unconfirmed | Q(Exists(failing)),
    }


def account_state() -> Case:
    """The code of the state as an expression over accounts."""
    cases = [When(condition, then=Value(code)) for code, condition in account_conditions().items()]
    return Case(*cases, default=Value("copying"), output_field=CharField())
