"""What bookkeeping needs of the books: the accounts that they are booked on, and what was exported until when.

An export is a cut through the entries that stays: what it has never changes, and what comes later is in the next one.
"""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple, Self

from django.db import models
from django.db.models import Q

from users.models import Membership, User, Workspace


class AccountRole(NamedTuple):
    """What an account of the journal is for, and what it is called where nobody says otherwise.

    number: of the German chart of accounts SKR 03, on accounts that compute no tax by themselves.
    """

    key: str
    label: str
    name: str
    number: str


ROLES = (
    AccountRole("receivables", "What clients owe", "Assets:Receivables", "1410"),
    AccountRole("cash", "Money received", "Assets:Bank", "1200"),
    AccountRole("credit", "Credit of clients", "Liabilities:Client-Credit", "1710"),
    AccountRole("tax", "Tax on fees", "Liabilities:Tax", "1770"),
    AccountRole("providers", "Owed to providers", "Liabilities:Providers", "1610"),
    AccountRole("flat-fee", "Fixed fees", "Income:Fees:Fixed", "8200"),
    AccountRole("lots-traded", "Fees per lot", "Income:Fees:Lots", "8201"),
    AccountRole("lots-won", "Fees per lot won", "Income:Fees:Lots-Won", "8202"),
    AccountRole("amount-traded", "Shares of value", "Income:Fees:Value", "8203"),
    AccountRole("amount-won", "Shares of each gain", "Income:Fees:Gains", "8204"),
    AccountRole("high-water-mark", "Shares of new profit", "Income:Fees:Profit", "8205"),
    AccountRole("management-fee", "Management fees", "Income:Fees:Management", "8206"),
    AccountRole("joining-fee", "Joining fees", "Income:Fees:Joining", "8207"),
    AccountRole("minimum-fee", "Minimums, less caps", "Income:Fees:Minimum", "8208"),
    AccountRole("credited", "Credit notes", "Income:Fees:Credited", "8700"),
    AccountRole("write-offs", "Written off", "Expenses:Write-Offs", "2400"),
    AccountRole("provider-fees", "Fees owed to providers", "Expenses:Provider-Fees", "3100"),
    AccountRole("opening", "Balances brought forward", "Equity:Opening-Balances", "9000"),
)
ROLE_OF = {role.key: role for role in ROLES}


class BookkeepingSettings(models.Model):
    """The accounts of a workspace's journal. A workspace without a row: those of `ROLES`.

    names, numbers: {role: account}; a role that is missing has its usual one. advisor, client: of the DATEV file; null:
    none is made. year_begins: the first month of the fiscal year.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    names = models.JSONField(default=dict)
    numbers = models.JSONField(default=dict)
    advisor = models.PositiveIntegerField(null=True)
    client = models.PositiveIntegerField(null=True)
    account_digits = models.PositiveSmallIntegerField(default=4)
    year_begins = models.PositiveSmallIntegerField(default=1)
    changed_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    @classmethod
    def of(cls, workspace: Workspace) -> BookkeepingSettings:
        """Those of a workspace; such that are not stored, where nobody has entered any."""
        return cls.objects.filter(workspace=workspace).first() or cls(workspace=workspace)

    def accounts(self) -> dict[str, Any]:
        """What an export keeps of them."""
        return {
            "names": {role.key: self.names.get(role.key, role.name) for role in ROLES},
            "numbers": {role.key: self.numbers.get(role.key, role.number) for role in ROLES},
            "advisor": self.advisor,
            "client": self.client,
            "account_digits": self.account_digits,
            "year_begins": self.year_begins,
        }


class JournalExportQuerySet(models.QuerySet["JournalExport"]):
    """Every read of exports starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Staff only."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()

    def valid(self) -> Self:
        """Those that were not taken back: one follows on the other, without a gap and without a day in two."""
        return self.filter(taken_back_at=None)


class JournalExport(models.Model):
    """What was given to bookkeeping at once: the entries of the books up to `last_day` that no earlier export has.

    last_entry: no entry that was made later belongs to it, whatever its day. periods: ids of closed billing periods
    whose fees to providers are in it. zone, accounts: as they were then, so that the same files can be made again.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    number = models.PositiveIntegerField()
    previous = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    first_day = models.DateField()
    last_day = models.DateField()
    last_entry = models.BigIntegerField()
    periods = models.JSONField(default=list)
    zone = models.CharField(max_length=64)
    accounts = models.JSONField(default=dict)
    bookings = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=64, help_text="SHA-256 of its file for beancount.")
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    taken_back_at = models.DateTimeField(null=True)
    taken_back_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    objects = JournalExportQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "number"], name="one_export_per_number")]

    def __str__(self) -> str:
        return f"Journal {self.number:04d}"

    @property
    def label(self) -> str:
        """In names of files: journal-0003-2026-01-01-2026-01-31."""
        return f"journal-{self.number:04d}-{self.first_day}-{self.last_day}"

    def day_for(self, day: date) -> date:
        """The day that something is booked on: its own, or the first one that was not exported before."""
        return max(day, self.first_day)

    def new_entries(self) -> Q:
        """Which entries of the workspace are in it; of a first export only those from its first day on."""
        own = Q(pk__lte=self.last_entry, day__lte=self.last_day)
        if self.previous is None:
            return own & Q(day__gte=self.first_day)
        return own & ~Q(pk__lte=self.previous.last_entry, day__lte=self.previous.last_day)
