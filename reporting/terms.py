"""What was agreed on, and when: the history of every strategy's terms, and when subscriptions began and ended.

The mirrored documents say how things are now; these rows say since when, by whom, and what was before.
"""

from __future__ import annotations

from typing import Self

from django.db import models

from editing.models import Change
from users.models import Connection, Membership, User, Workspace


class Subject(models.TextChoices):
    """What a version is about: each has its own row of spans, and `terms` is

    commission: {"scheme" (empty: nothing is charged), "rate", "billing_period"}; policy: `Policy.serialise`;
    calendar: {"zone", "week_starts_monday"}; members: {leaf strategy: the member it comes through} of a portfolio;
    rates: {"scheme", "rates": {currency: rate}}, in place of the commission's rate while that has this scheme; fees:
    `FeeTerms.serialise`. An empty policy of one subscription follows the strategy's, and so do fees {"follows": true}.
    """

    COMMISSION = "commission", "Commission"
    POLICY = "policy", "High-water-mark policy"
    CALENDAR = "calendar", "Billing calendar"
    MEMBERS = "members", "Members of the portfolio"
    RATES = "rates", "Rates by currency"
    FEES = "fees", "Fees beside the commission"


class TermsSource(models.TextChoices):
    """Where a version comes from."""

    INITIAL = "initial", "Known from the beginning"
    PORTAL = "portal", "Changed here"
    BACKEND = "backend", "Changed at the backend"


class TermsVersionQuerySet(models.QuerySet["TermsVersion"]):
    """Every read for a page starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()


class TermsVersion(models.Model):
    """What a strategy charges by from a moment on. Versions are added, never edited.

    It replaces every earlier version of its subject that was to begin at `valid_from` or later. subscriber_id: empty,
    or the one subscription that it is about. The database clock of `valid_from` is that of the billing zone's midnight
    where a day was chosen.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE)
    strategy_id = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64, blank=True, default="")
    subject = models.CharField(max_length=10, choices=Subject.choices)
    number = models.PositiveIntegerField(help_text="Counts the versions of a strategy.")
    valid_from = models.DateTimeField(null=True, help_text="Null: from the beginning.")
    terms = models.JSONField(default=dict)
    source = models.CharField(max_length=8, choices=TermsSource.choices)
    needs_consent = models.BooleanField(default=False, help_text="Clients pay more by it than before.")
    asks_consent = models.BooleanField(
        default=False, db_default=False, help_text="Whoever pays more by it keeps the earlier terms until consent."
    )
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    change = models.ForeignKey(Change, null=True, on_delete=models.SET_NULL, related_name="+")
    seen_at = models.DateTimeField()

    objects = TermsVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "strategy_id", "number"], name="one_terms_version")
        ]
        indexes = [models.Index(fields=["workspace", "-seen_at"], name="terms_version_by_seen")]


class TermsAnswer(models.Model):
    """What a client answered to terms that need consent. Answers are added, never edited; a consent stays one.

    holds_from: of a consent, the later of its moment and the beginning of the terms.
    """

    version = models.ForeignKey(TermsVersion, on_delete=models.CASCADE, related_name="answers")
    subscriber_id = models.CharField(max_length=64)
    is_consent = models.BooleanField()
    holds_from = models.DateTimeField(null=True)
    note = models.CharField(max_length=200, blank=True, default="")
    answered_at = models.DateTimeField()
    recorded_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    # of a client's own answer: where it came from, and the SHA-256 of what was read; empty: the firm recorded it
    address = models.CharField(max_length=64, blank=True, default="", db_default="")
    digest = models.CharField(max_length=64, blank=True, default="", db_default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "subscriber_id"], condition=models.Q(is_consent=True), name="one_consent_per_client"
            )
        ]


class SubscriptionLifetime(models.Model):
    """A stretch of time in which a subscription was there: one that ends and is made again has two.

    ended_at: null while it runs. Where nobody saw it end, the time of its last deal stands for it.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    subscriber_id = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id", "started_at"], name="one_lifetime_per_start"
            ),
            models.UniqueConstraint(
                fields=["connection", "subscriber_id", "strategy_id"],
                condition=models.Q(ended_at=None),
                name="one_running_lifetime",
            ),
        ]
