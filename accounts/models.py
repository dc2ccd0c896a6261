"""Trading accounts, mirrored from the provisioning API, and what their terminals told last."""

from __future__ import annotations

from functools import cached_property
from typing import Self

from django.db import models

from accounts.states import BROKER_STATES, account_state
from users.models import Connection, Membership, User, Workspace
from users.states import State


class BrokerAccountQuerySet(models.QuerySet["BrokerAccount"]):
    """Every read of accounts begins with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """All of the workspace for staff; clients see theirs as subscribers and on /me/, not here."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()


class BrokerAccount(models.Model):
    """A trading account of a connection. Money is in its own `currency`, and null where no terminal told it.

    state, connection_status: the backend's words. seen_at: when its list was read last that had it. measured_at,
    asked_at: when its terminal told figures, and when it was asked; trouble: why it did not answer then, a sentence.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="broker_accounts")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="broker_accounts")
    backend_id = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    login = models.CharField(max_length=40, blank=True, default="")
    server = models.CharField(max_length=200, blank=True, default="")
    platform = models.CharField(max_length=3, blank=True, default="", help_text="mt4, mt5; empty: not told.")
    state = models.CharField(max_length=40, blank=True, default="")
    connection_status = models.CharField(max_length=40, blank=True, default="")
    region = models.CharField(max_length=60, blank=True, default="")
    is_provider = models.BooleanField(default=False)
    is_subscriber = models.BooleanField(default=False)
    document = models.JSONField(default=dict, help_text="As the list had it, without secrets.")
    revision = models.CharField(max_length=64)
    is_removed = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # what its terminal told
    broker = models.CharField(max_length=200, blank=True, default="")
    currency = models.CharField(max_length=3, blank=True, default="")
    previous_currency = models.CharField(max_length=3, blank=True, default="")
    currency_changed_at = models.DateTimeField(null=True)
    balance = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    equity = models.DecimalField(max_digits=24, decimal_places=8, null=True)
    leverage = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    mode = models.CharField(max_length=8, blank=True, default="", help_text="hedging, netting; empty: not told.")
    kind = models.CharField(max_length=8, blank=True, default="", help_text="demo, contest, real; empty: not told.")
    may_trade = models.BooleanField(null=True, help_text="False: only to look at, or trading is switched off.")
    is_simulated = models.BooleanField(null=True, help_text="As the backend says of the account; null: it does not.")
    measured_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True, default="")

    objects = BrokerAccountQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["connection", "backend_id"], name="one_broker_account_per_id")]
        indexes = [
            models.Index(fields=["workspace", "name", "id"], name="broker_account_by_name"),
            models.Index(fields=["workspace", "server", "id"], name="broker_account_by_server"),
            models.Index(fields=["workspace", "equity", "id"], name="broker_account_by_equity"),
        ]

    def __str__(self) -> str:
        return self.name or self.backend_id

    @cached_property
    def state_code(self) -> str:
        """The code of its state. One query."""
        codes = BrokerAccount.objects.filter(pk=self.pk).values_list(account_state())
        return (codes.first() or ("removed",))[0]

    @property
    def pill(self) -> State:
        """Its state as every page shows it."""
        return BROKER_STATES[self.state_code]

    @property
    def roles(self) -> list[str]:
        """As the API spells them."""
        return ["PROVIDER"] * self.is_provider + ["SUBSCRIBER"] * self.is_subscriber


class RequestState(models.TextChoices):
    """How far the request for a new account is, as it was answered last."""

    SENT = "sent", "Sent"
    CHECKING = "checking", "Being checked"
    UNKNOWN = "unknown", "Not known"
    REFUSED = "refused", "Refused"
    NOT_SENT = "not-sent", "Not sent"
    DONE = "done", "Added"


OPEN_STATES = (RequestState.SENT, RequestState.CHECKING, RequestState.UNKNOWN)


class AccountRequestQuerySet(models.QuerySet["AccountRequest"]):
    """Every read of requests begins with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Those of the workspace, for staff."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()


class AccountRequest(models.Model):
    """A new account that somebody asked for: committed before it is sent, so that none is added that nobody knows of.

    transaction_id: by which the backend knows the request again. values: what was asked for, never with the password.
    digest: of platform, server, login and password, keyed (adding.py): whether the same was refused before.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="account_requests")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="account_requests")
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    transaction_id = models.CharField(max_length=32)
    values = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=10, choices=RequestState.choices, default=RequestState.SENT)
    code = models.CharField(max_length=60, blank=True, default="", help_text="Of a refusal, as the backend names it.")
    backend_id = models.CharField(max_length=64, blank=True, default="")
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)

    objects = AccountRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "transaction_id"], name="one_request_per_transaction")
        ]
        indexes = [models.Index(fields=["workspace", "-asked_at"], name="account_request_by_age")]

    def __str__(self) -> str:
        return str(self.values.get("name", ""))
