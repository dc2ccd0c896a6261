"""Tables of the embedded backend. Only `copying.backend` reads or writes them; the portal speaks HTTP.

The journal is the truth: a command is answered once its entry is committed. Everything else is written behind it by the
projector and can be told apart by `sequence` (journal number) and `ordinal` (position among that entry's effects).
Records are kept as the JSON text that is served (`document`); columns beside it exist to be filtered and ordered.
"""

from __future__ import annotations

from django.db import models


class Tenant(models.Model):
    """A user of the backend: whoever holds a token. Sees only what is its own."""

    id = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)
    takes_listed_only = models.BooleanField(
        default=False, db_default=False, help_text="Tokens without a row are refused."
    )


class BackendScope(models.TextChoices):
    """What a token may do."""

    READ = "read", "Read"
    TRADE = "trade", "Read, change and trade"


class BackendToken(models.Model):
    """A token that was given a name (copying/backend/tokens.py). Only its digest is stored."""

    digest = models.CharField(primary_key=True, max_length=64)
    # no constraint, as between the other tables: what empties them need not know this one
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="tokens", db_constraint=False)
    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=5, choices=BackendScope.choices, default=BackendScope.TRADE)
    hint = models.CharField(max_length=4, help_text="Last characters of the token, for recognition.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, help_text="null: it does not end by itself.")
    last_used_at = models.DateTimeField(null=True, help_text="To the minute.")
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class JournalEntry(models.Model):
    """An acknowledged input: the command, when it happened and the quotes that changed since the entry before."""

    sequence = models.BigIntegerField(primary_key=True)
    time = models.DateTimeField()
    payload = models.BinaryField(help_text="msgpack of the backend's Entry")
    original = models.BinaryField(null=True, help_text="What was set aside, because carrying it out failed.")


class Snapshot(models.Model):
    """The whole state after entry `sequence`; start-up loads the newest and replays the journal behind it."""

    sequence = models.BigIntegerField(primary_key=True)
    format = models.PositiveSmallIntegerField()
    taken_at = models.DateTimeField()
    state = models.BinaryField()


class Progress(models.Model):
    """The one row that says up to which journal entry effects are projected; moved in the rows' own transaction."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    projected_sequence = models.BigIntegerField(default=0)


class Effect(models.Model):
    """What every projected record has."""

    id = models.BigAutoField(primary_key=True)
    sequence = models.BigIntegerField()
    ordinal = models.IntegerField()
    time = models.DateTimeField()
    document = models.TextField()

    class Meta:
        abstract = True


class TransactionRecord(Effect):
    """A transaction as H1 to H4 serve it (contract, 6.1)."""

    provider_tenant = models.CharField(max_length=64)
    subscriber_tenant = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sequence", "ordinal"], name="transaction_once")]
        indexes = [
            models.Index(fields=["provider_tenant", "-time", "-id"], name="provided_by_time"),
            models.Index(fields=["subscriber_tenant", "-time", "-id"], name="subscribed_by_time"),
            models.Index(fields=["strategy_id", "-time", "-id"], name="strategy_deals_by_time"),
            models.Index(fields=["subscriber_id", "-time", "-id"], name="subscriber_deals_by_time"),
        ]


class UserLogRecord(Effect):
    """A log line (contract, 6.3), written from a decision or from what happened to an account."""

    tenant = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64)
    position_id = models.CharField(max_length=64)
    severity = models.PositiveSmallIntegerField(help_text="0 DEBUG, 1 INFO, 2 WARN, 3 ERROR")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sequence", "ordinal"], name="log_once")]
        indexes = [
            models.Index(fields=["strategy_id", "-time", "-id"], name="strategy_log_by_time"),
            models.Index(fields=["subscriber_id", "-time", "-id"], name="subscriber_log_by_time"),
        ]


class StopoutRecord(Effect):
    """A risk limit that fired (contract, 3.13); `number` counts per tenant."""

    tenant = models.CharField(max_length=64)
    number = models.BigIntegerField()
    strategy_id = models.CharField(max_length=64)
    subscriber_id = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="stopout_once")]


class DecisionRecord(Effect):
    """Why a signal was or was not copied on one route (docs/copying.md, "Decisions")."""

    tenant = models.CharField(max_length=64)
    strategy_id = models.CharField(max_length=64, help_text="The strategy or portfolio subscribed to.")
    subscriber_id = models.CharField(max_length=64)
    signal_id = models.CharField(max_length=64)
    outcome = models.CharField(max_length=8)
    reason = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sequence", "ordinal"], name="decision_once")]
        indexes = [
            models.Index(fields=["tenant", "-time", "-id"], name="decision_by_time"),
            models.Index(fields=["subscriber_id", "-time", "-id"], name="decision_by_subscriber"),
            models.Index(fields=["strategy_id", "-time", "-id"], name="decision_by_strategy"),
        ]


class SignalRecord(Effect):
    """What happened to a signal and the numbers it was decided with: what a simulation decides again."""

    tenant = models.CharField(max_length=64, help_text="Whose strategy it is.")
    strategy_id = models.CharField(max_length=64)
    signal_row = models.BigIntegerField(help_text="Number of the signal in the book: ids may repeat.")
    what = models.CharField(max_length=8, help_text="open, change, fill, part or close")
    facts = models.BinaryField(null=True, help_text="of an open: msgpack of the backend's recorded facts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sequence", "ordinal"], name="signal_once")]
        indexes = [models.Index(fields=["strategy_id", "time", "id"], name="signals_by_time")]


class AccountDealRecord(Effect):
    """A deal that is no copy, as the terminal API serves it (account APIs, 3.5): a trade by hand, a deposit."""

    tenant = models.CharField(max_length=64)
    account_id = models.CharField(max_length=64)
    deal = models.CharField(max_length=20)
    position_id = models.CharField(max_length=20, help_text="Empty of what is no trade.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["sequence", "ordinal"], name="account_deal_once")]
        indexes = [models.Index(fields=["account_id", "time", "sequence"], name="account_deals_by_time")]


class AccountSnapshotRecord(Effect):
    """Balance and equity of an account at one moment; `number` counts per tenant."""

    tenant = models.CharField(max_length=64)
    number = models.BigIntegerField()
    account_id = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="account_snapshot_once")]
        indexes = [models.Index(fields=["account_id", "time"], name="snapshots_by_account")]
