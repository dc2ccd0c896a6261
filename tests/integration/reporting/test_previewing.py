"""The preview of a run of issuing: every statement as it will be, bounded pages, and nothing written."""

from __future__ import annotations

import csv
import io
import re

import pytest
from django.utils import timezone

from reporting.commission.disputing import open_dispute
from reporting.commission.document_lines import lines_of, pdf_of
from reporting.commission.drafts import Fate
from reporting.commission.previewing import preview_pdf, preview_rows, sums_of
from reporting.models import BillingIdentity, Books, ClientRecord, Entry, Statement, TaxKind
from reporting.views import issuing as views
from tests import builders
from tests.firm import D, at
from tests.integration.reporting.test_approvals import member
from tests.integration.reporting.test_book_jobs import UNTIL, close_whole, crowded
from tests.pdf_reader import pdf_text

pytestmark = pytest.mark.django_db


@pytest.fixture
def firm():
    """Closed periods of five accounts, taxed but for one client."""
    firm = crowded()
    close_whole(firm)
    BillingIdentity.objects.create(workspace=firm.workspace, tax_kind=TaxKind.RATE, tax_rate=D("0.19"))
    return firm


def with_totals(rows):
    return {(row.draft.account.subscriber_id, row.draft.account.currency): row.total for row in rows}


def test_what_is_shown_is_what_is_issued(firm):
    exempt = firm.workspace.subscribers.get(name="Zoe")
    ClientRecord.objects.create(subscriber=exempt, name="Zoe Ltd", tax_kind=TaxKind.EXEMPT)
    rows = preview_rows(member(firm.owner), UNTIL)
    made = [row for row in rows if row.fate == Fate.ISSUED]
    assert not Statement.objects.exists()
    assert not Books.objects.filter(statements__gt=0).exists()
    issued = firm.issue(UNTIL, now=timezone.now())
    assert {(one.subscriber_id, one.currency): one.total for one in issued} == with_totals(made)
    assert next(row for row in rows if row.client == "Zoe Ltd").tax == 0
    sums = {currency: (number, net, total) for currency, number, net, total in sums_of(made)}
    for currency in sums:
        own = [one for one in issued if one.currency == currency]
        assert sums[currency] == (len(own), sum(one.amount for one in own), sum(one.total for one in own))


def test_what_waits_is_named(firm):
    identity = BillingIdentity.objects.get()
    small = min(row.draft.amount for row in preview_rows(member(firm.owner), UNTIL) if row.draft.amount > 0)
    identity.minimums = {"USD": str(small + D("0.01"))}
    identity.save()
    rows = preview_rows(member(firm.owner), UNTIL)
    assert [row.draft.amount for row in rows if row.fate == Fate.SMALL] == [small]
    identity.minimums = {"USD": str(small)}
    identity.save()
    assert not [row for row in preview_rows(member(firm.owner), UNTIL) if row.fate == Fate.SMALL]


def test_what_an_account_disputes_stands_beside(firm):
    adam = firm.workspace.subscribers.get(name="Adam").backend_id
    (statement,) = firm.issue(at(5, 1, 0), now=timezone.now(), only=[adam])
    line = lines_of(statement).filter(amount__gt=0).first()
    dispute = open_dispute(statement, line, reason="no", now=timezone.now())
    rows = preview_rows(member(firm.owner), UNTIL)
    assert len(rows) > 1
    assert {row.draft.account.subscriber_id: row.in_dispute for row in rows if row.in_dispute} == {adam: dispute.amount}


def test_one_is_printed_as_it_will_be_without_a_number_and_nothing_is_written(firm):
    row = next(row for row in preview_rows(member(firm.owner), UNTIL) if row.fate == Fate.ISSUED)
    now = timezone.now()
    text = pdf_text(preview_pdf(member(firm.owner), row.draft, due_on=now.date(), now=now))
    assert "PREVIEW: this statement is not issued" in text
    assert "not issued" in text
    assert f"{row.total:.2f}" in text
    assert (Statement.objects.count(), Entry.objects.count()) == (0, 0)
    (issued,) = firm.issue(UNTIL, now=now, only=[row.draft.account.subscriber_id])
    real = pdf_text(pdf_of(Statement.objects.with_balance().get(pk=issued.pk)))
    lines = text[text.index("Lines") :]
    assert lines.split("Statement")[0].split()[:40] == real[real.index("Lines") :].split("Statement")[0].split()[:40]


def test_pages_are_bounded_searched_sorted_and_downloaded(firm, sign_in, monkeypatch):
    monkeypatch.setattr(views, "ROWS_PER_PAGE", 2)
    client = sign_in(firm.owner)

    def names(query=""):
        page = client.get(f"/commissions/issue/{query}").content.decode()
        return re.findall(r'<td><a class="name"[^>]*>([^<]+)<', page)

    assert names() == ["Adam", "adam"]
    assert names("?page=2") == ["bea", "Zoe"]
    assert names("?page=99") == names("?page=3") == ["Émile"]
    assert names("?q=zo") == ["Zoe"]
    everybody = preview_rows(member(firm.owner), UNTIL)
    highest = sorted(everybody, key=lambda row: row.total, reverse=True)
    assert names("?sort=-total") == [row.draft.subscriber_name for row in highest[:2]]
    assert names("?fate=nothing") == [row.draft.subscriber_name for row in everybody if row.fate == "nothing"]
    table = client.get("/commissions/issue/?format=csv&sort=-total").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [D(row["total"]) for row in rows] == [row.total for row in highest]
    assert {row["currency"] for row in rows} == {"USD", "EUR"}


def test_previews_are_for_those_who_bill(firm, sign_in, charlie):
    row = next(row for row in preview_rows(member(firm.owner), UNTIL) if row.fate == Fate.ISSUED)
    address = f"/commissions/issue/preview/?of={row.key}"
    viewer = builders.member(firm.workspace, "vera", "viewer")
    assert sign_in(firm.owner).get(address)["Content-Type"] == "application/pdf"
    assert [sign_in(person).get(address).status_code for person in (viewer, charlie)] == [403, 404]
    assert sign_in(firm.owner).get("/commissions/issue/preview/?of=1-x-USD-USD").status_code == 404
