"""A run of issuing before it happens: every statement that would be made, and one of them as it would be printed.

Nothing is written: figures come from the same drafts, consents and tax that issuing uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef, QuerySet, Sum

from reporting.commission.drafts import Among, Draft, Fate, closed_periods, drafts_of, fate_of
from reporting.commission.money import round_money
from reporting.commission.pdf import Unissued, statement_pdf
from reporting.commission.statements import clients_of, draft_document
from reporting.commission.zones import read_zones
from reporting.identity import parties_of, tax_rate_of
from reporting.models import BillingIdentity, BillingPeriod, CommissionLine, Dispute, StatementItem
from users.models import Membership
from users.parsing import row_id


@dataclass(slots=True)
class PreviewRow:
    """One statement as it would be. fate: what issuing does with it while nobody agrees to anything.

    in_dispute: what of the account's earlier statements waits for an answer, with the tax.
    """

    draft: Draft
    client: str
    tax: Decimal
    fate: Fate
    in_dispute: Decimal

    @property
    def total(self) -> Decimal:
        return self.draft.amount + self.tax

    @property
    def key(self) -> str:
        """Names the draft in an address."""
        account = self.draft.account
        return f"{account.connection_id}-{account.subscriber_id}-{account.currency}-{self.draft.reporting_currency}"


def preview_row(asker: Membership, until: datetime, key: str) -> PreviewRow | None:
    """The one of a key, worked out without the others; None: there is none."""
    connection_id, _, rest = key.partition("-")
    if (number := row_id(connection_id)) is None:
        return None
    account = number, rest.rsplit("-", 2)[0]
    among = Among([account], closed_periods(asker.workspace, until))
    return next((row for row in preview_rows(asker, until, among) if row.key == key), None)


def preview_rows(asker: Membership, until: datetime, among: Among | None = None) -> list[PreviewRow]:
    """Every statement that can be issued of what ended by `until`, by subscriber's name."""
    workspace = asker.workspace
    identity, clients = BillingIdentity.of(workspace), clients_of(workspace)
    open_disputes = Dispute.objects.visible_to(asker).open().order_by()
    frozen = open_disputes.values_list(
        "statement__connection_id", "statement__subscriber_id", "statement__currency"
    ).annotate(s=Sum("amount"))
    disputed = {tuple(key): total for *key, total in frozen}
    rows = []
    for draft in drafts_of(workspace, until, among):
        account = draft.account
        client = clients.get((account.connection_id, account.subscriber_id))
        tax = round_money(draft.amount * tax_rate_of(identity, client), account.currency)
        fate = fate_of(draft, identity.minimum(account.currency))
        in_dispute = disputed.get((account.connection_id, account.subscriber_id, account.currency), Decimal(0))
        rows.append(PreviewRow(draft, client.name if client else "", tax, fate, in_dispute))
    return rows


def sums_of(rows: Sequence[PreviewRow]) -> list[tuple[str, int, Decimal, Decimal]]:
    """(currency, statements, net, total) of those that would be made, each currency by itself."""
    sums: dict[str, tuple[int, Decimal, Decimal]] = {}
    for row in rows:
        number, net, total = sums.get(row.draft.account.currency, (0, Decimal(0), Decimal(0)))
        sums[row.draft.account.currency] = (number + 1, net + row.draft.amount, total + row.total)
    return [(currency, *sums[currency]) for currency in sorted(sums)]


def preview_pdf(asker: Membership, draft: Draft, *, due_on: date, now: datetime) -> bytes:
    """One of them as it would be printed, marked as a preview and without a number."""
    workspace, account = asker.workspace, draft.account
    identity, clients = BillingIdentity.of(workspace), clients_of(workspace)
    client = clients.get((account.connection_id, account.subscriber_id))
    parties = parties_of(identity, client, account_name=draft.subscriber_name)
    zones = read_zones(workspace, {(account.connection_id, item.strategy_id) for item in draft.items})
    document = draft_document(workspace, draft, parties, zones, due_on=due_on, by=None, now=now)
    document.balance = document.total
    periods = {
        period.pk: period
        for period in BillingPeriod.objects.visible_to(asker).filter(pk__in=[item.period_id for item in draft.items])
    }
    items = [
        StatementItem(
            period=periods[item.period_id],
            strategy_name=item.strategy_name,
            scheme=item.scheme,
            lines=item.lines,
            amount=item.amount,
        )
        for item in sorted(draft.items, key=lambda item: (item.start, item.strategy_name))
    ]
    return statement_pdf(document, lines_of_draft(asker, draft), Unissued(items))


def lines_of_draft(asker: Membership, draft: Draft) -> QuerySet[CommissionLine]:
    """The lines that a statement would be the sum of."""
    account = draft.account
    among = BillingPeriod.objects.filter(
        pk__in=[item.period_id for item in draft.items],
        connection_id=OuterRef("connection_id"),
        strategy_id=OuterRef("strategy_id"),
        period_start=OuterRef("period_start"),
        period_end=OuterRef("period_end"),
    )
    own = CommissionLine.objects.visible_to(asker).filter(
        Exists(among),
        connection_id=account.connection_id,
        subscriber_id=account.subscriber_id,
        currency=account.currency,
        member_id="",
    )
    return own.order_by("period_start", "occurred_at", "pk")
