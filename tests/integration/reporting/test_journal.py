"""The journal for bookkeeping: every booking balances, programs read it, and what was exported stays what it is."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from beancount import loader
from beancount.core import realization
from django.db import DatabaseError, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reporting.bookkeeping import BookkeepingSettings, JournalExport
from reporting.commission.accounts import ClientAccount
from reporting.commission.credit_notes import issue_credit_note, void_statement
from reporting.commission.journal import movements_of, read_bookings
from reporting.commission.journal_exports import export_journal, first_day_to_export, preview_export, take_export_back
from reporting.commission.journal_files import beancount_file, datev_batches, datev_file
from reporting.commission.payments import record_payment, undo_payment
from reporting.commission.refusals import CannotBook
from reporting.models import BillingIdentity, CommissionLine, Entry, Payment, Statement, TaxKind
from tests import builders
from tests.firm import D, Firm, at
from tests.integration.reporting.test_books_properties import START, actions, deals, happen
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
few = settings(
    max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
JANUARY = date(2026, 1, 1)


def first_of(month):
    """The morning of the first day of a month of 2026, or after it."""
    return datetime(2026 + (month - 1) // 12, (month - 1) % 12 + 1, 1, 9, tzinfo=UTC)


def yearly_firm():
    """A portfolio's firm with clients in three currencies, one of whom pays no tax."""
    firm = Firm(reporting_currency="USD")
    member = firm.strategy
    scheme = {"type": "amount-won", "commissionRate": 0.3, "billingPeriod": "month"}
    document = {"members": [{"strategyId": member.backend_id}], "commissionScheme": scheme}
    firm.strategy = builders.strategy(firm.connection, kind="portfolio", document=document)
    BillingIdentity.objects.create(workspace=firm.workspace, tax_kind=TaxKind.RATE, tax_rate=D("0.19"), has_year=True)
    BookkeepingSettings.objects.create(workspace=firm.workspace, advisor=29098, client=55003)
    others = [builders.subscriber(firm.connection, currency=code, name=f'"{code}" Łukasz\\') for code in ("JPY", "EUR")]
    return firm, [firm.subscriber, *others], {"extra": {"sourceStrategy": {"id": member.backend_id}}}


def pay(firm, statement, amount, currency, now, *, received=None, reference=""):
    return record_payment(
        firm.workspace,
        ClientAccount.of(statement),
        amount=D(amount),
        currency=currency,
        statement=statement,
        now=now,
        received_on=received or now.date(),
        accepts_old_rate=True,
        accepts_void=True,
        reference=reference,
    ).payment


def live_a_month(firm, clients, through, month):
    """Deals, closing, issuing, and what people do about last month's statements."""
    now = first_of(month + 1)
    for number, client in enumerate(clients):
        firm.deal(at(month, 5 + number), D(1000 + 37 * month + 11 * number) / 7, subscriber=client, **through)
        if month % 4 == 2:
            firm.deal(at(month, 9), D("0.03"), subscriber=client, **through)
    firm.accrue(now)
    firm.close(first_of(month + 1).replace(hour=0), now=now)
    issued = firm.issue(now.replace(hour=0), now=now, accepts_old_rates=True)
    for statement in issued:
        act_on(firm, statement, month, now + timedelta(days=3))
    return issued


def act_on(firm, statement, month, now):
    """Pay it in another currency, in parts, too much; correct it, void it, issue it again, take a payment back."""
    if month % 5 == 0:
        issue_credit_note(statement, amount=D("3"), reason='asked "for"', now=now, accepts_old_rate=True)
    if month % 6 == 0:
        paid = pay(firm, statement, "40", "CHF", now)
        void_statement(statement, reason="wrong", now=now + timedelta(days=1))
        firm.issue(now.replace(hour=0), now=now + timedelta(days=2), accepts_old_rates=True)
        if month == 12:
            undo_payment(paid, reason="bounced", now=now + timedelta(days=2))
    elif month % 3 == 0:
        pay(firm, statement, "100000", "JPY", now, reference="wire; 7")
        pay(firm, statement, "5", statement.currency, now, received=now.date() - timedelta(days=20))
    elif month % 2 == 0:
        undo_payment(pay(firm, statement, "17", "EUR", now), reason="bounced", now=now + timedelta(days=30))


@pytest.fixture
def year():
    """A year of a firm that exports each quarter on the tenth of the next month."""
    firm, clients, through = yearly_firm()
    exports = []
    for month in range(1, 13):
        live_a_month(firm, clients, through, month)
        if month % 3 == 0:
            now = first_of(month + 1) + timedelta(days=9)
            first = first_day_to_export(firm.workspace)
            last = first_of(month + 1).date() - timedelta(days=1)
            exports.append(export_journal(firm.workspace, first_day=first, last_day=last, now=now))
    now = datetime(2027, 3, 1, 9, tzinfo=UTC)
    exports.append(
        export_journal(
            firm.workspace, first_day=first_day_to_export(firm.workspace), last_day=date(2027, 2, 28), now=now
        )
    )
    return SimpleNamespace(firm=firm, exports=exports, now=now)


def balances_of(path):
    """{(account, currency): balance} as beancount adds them up; it must find no error."""
    entries, errors, _ = loader.load_file(str(path))
    assert errors == []
    totals = defaultdict(D)
    for account in realization.iter_children(realization.realize(entries)):
        for position in account.balance:
            totals[account.account, position.units.currency] += position.units.number
    return {key: total for key, total in totals.items() if total}


def written(exports, folder):
    """The files of exports, and one that includes them all."""
    for export in exports:
        (folder / f"{export.label}.beancount").write_bytes(beancount_file(export, read_bookings(export)))
    main = folder / "main.beancount"
    opening = 'plugin "beancount.plugins.auto_accounts"\n'
    main.write_text(opening + "".join(f'include "{export.label}.beancount"\n' for export in exports))
    return main


def by_currency(rows, amount="amount"):
    return {row["currency"]: row["t"] for row in rows.order_by().values("currency").annotate(t=Sum(amount)) if row["t"]}


def expected_balances():
    """The same from the ledger, without its entries' kinds: documents that count, payments that were kept."""
    standing = Statement.objects.filter(is_void=False).exclude(corrects__is_void=True)
    kept = [each for each in Payment.objects.with_undone() if not each.is_undone]
    bank = defaultdict(D)
    for payment in kept:
        bank[payment.currency] += payment.amount
    revenue = defaultdict(D)
    for document in standing:
        revenue[document.currency] -= document.amount
    incoming = by_currency(CommissionLine.objects.exclude(member_id=""))
    return {
        "Assets:Receivables": by_currency(Entry.objects.exclude(statement=None)),
        "Liabilities:Client-Credit": by_currency(Entry.objects.filter(statement=None)),
        "Liabilities:Tax": {currency: -tax for currency, tax in by_currency(standing, "tax").items()},
        "Assets:Bank": dict(bank),
        "Income": dict(revenue),
        "Expenses:Provider-Fees": incoming,
        "Liabilities:Providers": {currency: -total for currency, total in incoming.items()},
    }


def summed(balances):
    """Balances by account, all that is earned as one."""
    totals = defaultdict(lambda: defaultdict(D))
    for (account, currency), total in balances.items():
        totals["Income" if account.startswith("Income") else account][currency] += total
    return {account: dict(own) for account, own in totals.items()}


def test_beancount_reads_a_year_and_agrees_with_the_ledger(year, tmp_path):
    main = written(year.exports, tmp_path)
    check = subprocess.run(
        [sys.executable, "-m", "beancount.scripts.check", str(main)], capture_output=True, text=True, timeout=120
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
    assert summed(balances_of(main)) == expected_balances()
    assert {code for _, code in balances_of(main)} == {"USD", "EUR", "JPY", "CHF"}
    assert sum(export.bookings for export in year.exports) > 100


def test_every_file_alone_is_read_without_errors(year, tmp_path):
    written(year.exports, tmp_path)
    for export in year.exports:
        balances_of(tmp_path / f"{export.label}.beancount")


def test_every_entry_is_in_one_export_and_every_booking_balances(year):
    keys = []
    for export in year.exports:
        for booking in read_bookings(export):
            assert export.first_day <= booking.day <= export.last_day
            assert sum(part.amount for part in booking.parts) == 0
            assert len({part.currency for part in booking.parts}) == 1
            keys.append(booking.key)
    assert len(keys) == len(set(keys))
    moved = sum(movement.debit - movement.credit for export in year.exports for movement in of_clients(export))
    assert moved == Entry.objects.aggregate(t=Sum("amount"))["t"]


def of_clients(export):
    return [one for one in movements_of(read_bookings(export)) if one.role in ("receivables", "credit")]


def test_what_was_exported_is_the_same_bytes_after_everything_changed(year):
    files = {
        export.pk: [beancount_file(export, read_bookings(export)), *datev_files(export)] for export in year.exports
    }
    workspace = year.firm.workspace
    workspace.timezone, workspace.name = "Asia/Tokyo", "Another name"
    workspace.save()
    year.firm.subscriber.name = "Renamed"
    year.firm.subscriber.save()
    BookkeepingSettings.objects.filter(workspace=workspace).update(names={"cash": "Assets:Other"}, client=7)
    for statement in Statement.objects.filter(kind="statement", is_void=False):
        pay(year.firm, statement, "1", "USD", year.now, received=date(2026, 1, 15))
        void_statement(statement, reason="late", now=year.now)
    for export in JournalExport.objects.all():
        assert [beancount_file(export, read_bookings(export)), *datev_files(export)] == files[export.pk]


def datev_files(export):
    bookings = read_bookings(export)
    return [datev_file(export, bookings, *batch) for batch in datev_batches(export, bookings)]


# --- Which day, which export ------------------------------------------------------------------------------------------
@pytest.fixture
def exported():
    """A firm with a statement of 19.00 (100 of gains, 20 %, less tax: none), exported until 31 May."""
    firm = Firm()
    firm.deal(at(4, 4), "95")
    firm.accrue()
    firm.close(at(5, 1, 0))
    (statement,) = firm.issue(at(5, 1, 0))
    may = export_journal(firm.workspace, first_day=date(2026, 5, 1), last_day=date(2026, 5, 31), now=at(6, 2))
    return SimpleNamespace(firm=firm, statement=statement, may=may)


def next_export(firm, last=date(2026, 6, 30), now=None):
    return export_journal(
        firm.workspace, first_day=first_day_to_export(firm.workspace), last_day=last, now=now or at(7, 2)
    )


def test_a_payment_of_an_exported_day_is_booked_on_the_first_day_after_it(exported):
    pay(exported.firm, exported.statement, "19", "USD", at(6, 4), received=date(2026, 5, 31))
    pay(exported.firm, exported.statement, "1", "USD", at(6, 4), received=date(2026, 6, 1))
    june = next_export(exported.firm)
    assert [(one.day, one.own_day) for one in read_bookings(june)] == [
        (date(2026, 6, 1), date(2026, 5, 31)),
        (date(2026, 6, 1), date(2026, 6, 1)),
    ]
    assert "own-day: 2026-05-31" in beancount_file(june, read_bookings(june)).decode()
    assert len(read_bookings(exported.may)) == 1


def test_a_voiding_is_a_booking_of_its_own_day(exported):
    void_statement(exported.statement, reason="wrong client", now=at(6, 20))
    june = next_export(exported.firm)
    (voided,) = read_bookings(june)
    assert (voided.day, voided.text) == (date(2026, 6, 20), "S-000001 voided: wrong client")
    assert {part.role: part.amount for part in voided.parts} == {"receivables": D(-19), "amount-won": D(19)}


def test_a_later_entry_of_a_day_that_is_not_exported_yet_keeps_its_day(exported):
    pay(exported.firm, exported.statement, "4", "USD", at(7, 1), received=date(2026, 6, 30))
    (booking,) = read_bookings(next_export(exported.firm))
    assert booking.day == booking.own_day == date(2026, 6, 30)


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (date(2026, 5, 31), date(2026, 6, 30), "are in Journal 0001 already"),
        (date(2026, 6, 2), date(2026, 6, 30), "are in Journal 0001 already"),
        (date(2026, 6, 1), date(2026, 5, 31), "before the first one"),
        (date(2026, 6, 1), date(2026, 7, 2), "must be over"),
    ],
)
def test_days_are_exported_once_without_a_gap_and_when_they_are_over(exported, first, last, words):
    with pytest.raises(CannotBook, match=words):
        export_journal(exported.firm.workspace, first_day=first, last_day=last, now=at(7, 2))
    made = export_journal(exported.firm.workspace, first_day=date(2026, 6, 1), last_day=date(2026, 7, 1), now=at(7, 2))
    assert (made.number, made.previous) == (2, exported.may)


def test_a_day_ends_at_midnight_of_the_billing_zone(exported):
    workspace = exported.firm.workspace
    workspace.timezone = "America/New_York"
    workspace.save()
    moment = datetime(2026, 7, 2, 3, 59, tzinfo=UTC)  # still 1 July there
    days = {"first_day": date(2026, 6, 1), "last_day": date(2026, 7, 1)}
    with pytest.raises(CannotBook, match="must be over"):
        preview_export(workspace, **days, now=moment)
    assert preview_export(workspace, **days, now=moment + timedelta(minutes=1)).export.zone == "America/New_York"


def test_a_first_export_may_begin_later_with_balances_brought_forward(tmp_path):
    firm = Firm()
    firm.deal(at(4, 4), "95")
    firm.accrue()
    firm.close(at(5, 1, 0))
    (statement,) = firm.issue(at(5, 1, 0))  # on 20 May
    pay(firm, statement, "30", "USD", at(5, 21))
    june = export_journal(firm.workspace, first_day=date(2026, 5, 22), last_day=date(2026, 6, 30), now=at(7, 2))
    pay(firm, statement, "2", "USD", at(7, 3), received=date(2026, 5, 1))
    july = next_export(firm, date(2026, 7, 31), at(8, 2))
    assert [one.text for one in read_bookings(june)] == ["Balances brought forward"]
    assert [one.own_day for one in read_bookings(july)] == [date(2026, 5, 1)]
    balances = balances_of(written([june, july], tmp_path))
    assert balances["Liabilities:Client-Credit", "USD"] == D(-13)
    assert ("Assets:Receivables", "USD") not in balances


def test_the_newest_export_can_be_taken_back_and_made_with_other_accounts(exported):
    before = beancount_file(exported.may, read_bookings(exported.may))
    BookkeepingSettings.objects.create(workspace=exported.firm.workspace, names={"receivables": "Assets:Debitors"})
    take_export_back(exported.may, now=at(6, 3))
    with pytest.raises(CannotBook, match="taken back before"):
        take_export_back(exported.may, now=at(6, 3))
    again = export_journal(
        exported.firm.workspace, first_day=date(2026, 5, 1), last_day=date(2026, 5, 31), now=at(6, 3)
    )
    assert (again.number, again.previous) == (2, None)
    assert b"Assets:Debitors" in beancount_file(again, read_bookings(again))
    exported.may.refresh_from_db()
    assert beancount_file(exported.may, read_bookings(exported.may)) == before
    next_export(exported.firm)
    with pytest.raises(CannotBook, match="followed by another"):
        take_export_back(again, now=at(7, 3))


def test_the_database_keeps_exports_as_they_are(exported):
    for change in ({"last_day": date(2026, 5, 30)}, {"accounts": {}}):
        with pytest.raises(DatabaseError, match="not changed"), transaction.atomic():
            JournalExport.objects.filter(pk=exported.may.pk).update(**change)
    with pytest.raises(DatabaseError, match="not changed"), transaction.atomic():
        exported.may.delete()


@few
@given(deals=deals, actions=actions, cuts=st.lists(st.integers(20, 240), min_size=1, max_size=4, unique=True))
def test_whatever_happens_each_entry_is_booked_once(deals, actions, cuts):
    with transaction.atomic():
        firm = Firm("amount-won", 0.2)
        cuts, exports = sorted(cuts), []
        for now in happen(firm, deals, actions):
            while cuts and now.date() > (START + timedelta(days=cuts[0])).date():
                exports += exported_until(firm, (START + timedelta(days=cuts.pop(0))).date(), now)
        exports += exported_until(firm, date(2027, 6, 1), datetime(2027, 6, 2, tzinfo=UTC))
        bookings = [one for export in exports for one in read_bookings(export)]
        moved = {one.role: one.balance for one in movements_of(bookings)}
        owed = Entry.objects.exclude(statement=None).aggregate(t=Sum("amount"))["t"] or 0
        assert moved.get("receivables", 0) == owed
        assert sum(moved.values()) == 0
        assert all(sum(part.amount for part in one.parts) == 0 for one in bookings)
        assert len({one.key for one in bookings}) == len(bookings)
        transaction.set_rollback(True)


def exported_until(firm, last, now):
    first = first_day_to_export(firm.workspace)
    if first is None or first > last or last >= now.date():
        return []
    return [export_journal(firm.workspace, first_day=first, last_day=last, now=now)]


# --- DATEV ------------------------------------------------------------------------------------------------------------
def datev_rows(content):
    text = content.decode("cp1252")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    head, *rows = csv.reader(io.StringIO(text), delimiter=";")
    return head, rows[0], rows[1:]


def test_datev_batches_have_one_currency_and_one_fiscal_year(year):
    last = year.exports[-1]  # January and February of the next year
    assert {year for _, year in datev_batches(last, read_bookings(last))} == {2027}
    quarter = year.exports[0]
    batches = datev_batches(quarter, read_bookings(quarter))
    assert batches == [("EUR", 2026), ("JPY", 2026), ("USD", 2026)]
    head, columns, rows = datev_rows(datev_file(quarter, read_bookings(quarter), "EUR", 2026))
    assert len(head) == 31
    assert head[:5] == ["EXTF", "700", "21", "Buchungsstapel", "13"]
    assert head[10:16] == ["29098", "55003", "20260101", "4", f"{quarter.first_day:%Y%m%d}", "20260331"]
    assert head[21] == "EUR"
    assert columns[:2] == ["Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen"]
    assert {len(row) for row in rows} == {len(columns)} == {14}
    assert {row[2] for row in rows} == {"EUR"}


def test_datev_rows_come_to_the_same_balances(year):
    for export in year.exports:
        bookings = read_bookings(export)
        for currency in ("EUR", "USD", "JPY"):
            sums = defaultdict(D)
            for year_of in {each for code, each in datev_batches(export, bookings) if code == currency}:
                for row in datev_rows(datev_file(export, bookings, currency, year_of))[2]:
                    amount = D(row[0].replace(",", ".")) * (1 if row[1] == "S" else -1)
                    assert D(row[0].replace(",", ".")) > 0
                    sums[row[6]] += amount
                    sums[row[7]] -= amount
            numbers = export.accounts["numbers"]
            expected = {numbers[one.role]: one.balance for one in movements_of(bookings) if one.currency == currency}
            assert {key: total for key, total in sums.items() if total} == {k: v for k, v in expected.items() if v}


def test_a_statement_in_datevs_words():
    firm = Firm(currency="EUR")
    BillingIdentity.objects.create(
        workspace=firm.workspace, tax_kind=TaxKind.RATE, tax_rate=D("0.19"), statement_prefix="R.E-"
    )
    firm.subscriber.name = 'Łukasz "Ö" Żółw'
    firm.subscriber.save()
    BookkeepingSettings.objects.create(workspace=firm.workspace, advisor=1001, client=1, year_begins=6)
    firm.deal(at(4, 4), "100")
    firm.accrue()
    firm.close(at(5, 1, 0))
    firm.issue(at(5, 1, 0))
    export = export_journal(firm.workspace, first_day=date(2026, 5, 1), last_day=date(2026, 6, 10), now=at(7, 1))
    assert datev_batches(export, read_bookings(export)) == [("EUR", 2025)]  # the year of June 2025
    head, _, rows = datev_rows(datev_file(export, read_bookings(export), "EUR", 2025))
    assert head[12:16] == ["20250601", "4", "20260501", "20260531"]
    text = "Statement R.E-000001, 'Ö'"  # names in other letters cannot be written in this format
    assert rows == [
        ["20,00", "S", "EUR", "", "", "", "1410", "8204", "", "2005", "R-E-000001", "", "", text],
        ["3,80", "S", "EUR", "", "", "", "1410", "1770", "", "2005", "R-E-000001", "", "", text],
    ]


def test_no_batch_without_numbers_or_for_thousandths():
    firm = Firm(currency="KWD")
    firm.deal(at(4, 4), "100")
    firm.accrue()
    firm.close(at(5, 1, 0))
    firm.issue(at(5, 1, 0), accepts_old_rates=True)
    days = {"first_day": date(2026, 5, 1), "last_day": date(2026, 6, 10)}
    preview = preview_export(firm.workspace, **days, now=at(7, 1))
    assert datev_batches(preview.export, preview.bookings) == []
    BookkeepingSettings.objects.create(workspace=firm.workspace, advisor=1001, client=1)
    preview = preview_export(firm.workspace, **days, now=at(7, 1))
    assert datev_batches(preview.export, preview.bookings) == []
    assert b"20.000 KWD" in beancount_file(preview.export, preview.bookings)


# --- Pages ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def people(workspace, alice, bob, dora, charlie):
    return (
        alice,
        builders.member(workspace, "frank", "manager"),
        builders.member(workspace, "erin", "accountant"),
        bob,
        dora,
        charlie,
    )


@pytest.fixture
def firm_of_alice(workspace, alice):
    """A firm with one statement of 19.00 that is some days old, owned by Alice."""
    firm = Firm.__new__(Firm)
    firm.workspace, firm.numbers = workspace, 0
    firm.connection = builders.connection(workspace)
    scheme = {"commissionScheme": {"type": "amount-won", "commissionRate": 0.2, "billingPeriod": "month"}}
    firm.strategy = builders.strategy(firm.connection, document=scheme)
    firm.subscriber = builders.subscriber(firm.connection)
    firm.deal(at(4, 4), "95")
    firm.accrue()
    firm.close(at(5, 1, 0))
    firm.issue(at(5, 1, 0))
    return firm


DAYS = {"first_day": "2026-05-01", "last_day": "2026-05-31"}


def post(client, path, **form):
    return client.post(path, {"once": "t1", **form})


def test_the_page_previews_exports_and_gives_files(firm_of_alice, alice, sign_in):
    client = sign_in(alice)
    page = client.get("/commissions/journal/").content.decode()
    assert "What clients owe" in page
    assert "Statement S-000001" in page
    answer = post(client, "/commissions/journal/export/", **DAYS)
    assert answer.status_code == 302
    again = post(client, "/commissions/journal/export/", **DAYS)  # a double click
    assert again.status_code == 302
    (made,) = JournalExport.objects.all()
    assert made.made_by == alice
    audited = AuditEntry.objects.get(action="journal exported")
    assert audited.subject == "Journal 0001, 2026-05-01 to 2026-05-31"
    file = client.get(f"/commissions/journal/{made.pk}/beancount/")
    assert file["Content-Disposition"] == 'attachment; filename="journal-0001-2026-05-01-2026-05-31.beancount"'
    assert b"Assets:Receivables  19.00 USD" in file.content
    assert "No numbers for DATEV" in client.get(f"/commissions/journal/{made.pk}/datev/").content.decode()


def test_a_second_person_is_told_that_the_days_are_exported(firm_of_alice, people, sign_in):
    assert post(sign_in(people[0]), "/commissions/journal/export/", **DAYS).status_code == 302
    answer = post(sign_in(people[1]), "/commissions/journal/export/", **DAYS)
    assert answer.status_code == 422
    assert "are in Journal 0001 already" in answer.content.decode()
    assert JournalExport.objects.count() == 1


def test_who_sees_exports_and_who_makes_them(firm_of_alice, people, sign_in):
    made = export_journal(firm_of_alice.workspace, first_day=date(2026, 5, 1), last_day=date(2026, 5, 31), now=at(6, 2))
    files = (f"/commissions/journal/{made.pk}/beancount/", f"/commissions/journal/{made.pk}/datev/")
    own = dict.fromkeys(files, (200, 200, 200, 200, 404, 404))
    own |= {"/commissions/journal/": (200, 200, 200, 200, 404, 200), "/settings/bookkeeping/": (200,) * 4 + (404, 200)}
    for path, expected in own.items():
        assert tuple(sign_in(person).get(path).status_code for person in people) == expected, path
        assert sign_in(None).get(path).status_code == 302
    stranger = sign_in(people[-1]).get("/commissions/journal/").content.decode()
    assert "Journal 0001" not in stranger
    assert "Take back" not in sign_in(people[3]).get("/commissions/journal/").content.decode()
    for path in (
        f"/commissions/journal/{made.pk}/take-back/",
        "/commissions/journal/export/",
        "/settings/bookkeeping/",
    ):
        assert post(sign_in(people[3]), path).status_code == 403
        assert post(sign_in(people[4]), path).status_code == 404
    assert post(sign_in(people[-1]), f"/commissions/journal/{made.pk}/take-back/").status_code == 404
    assert post(sign_in(people[2]), f"/commissions/journal/{made.pk}/take-back/").status_code == 302
    assert not JournalExport.objects.valid().exists()


def form_of_settings(**changes):
    kept = BookkeepingSettings().accounts()
    form = {f"name-{key}": name for key, name in kept["names"].items()}
    form |= {f"number-{key}": number for key, number in kept["numbers"].items()}
    return {**form, "account_digits": "4", "year_begins": "1", "advisor": "", "client": "", **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name-cash": "Bank"}, "A name begins with"),
        ({"name-cash": "Assets:bank"}, "A name begins with"),
        ({"name-cash": "Assets:Bank 1"}, "A name begins with"),
        ({"name-cash": "Assets"}, "A name begins with"),
        ({"number-cash": "120"}, "A number has 4 digits"),
        ({"number-cash": "12000"}, "A number has 4 digits"),
        ({"number-cash": "12a0"}, "A number has 4 digits"),
        ({"advisor": "1001"}, "both numbers or none"),
        ({"client": "1"}, "both numbers or none"),
        ({"advisor": "1000", "client": "1"}, "1001 or more"),
        ({"advisor": "1001", "client": "100000"}, "99999 or less"),
        ({"account_digits": "9"}, "8 or less"),
    ],
)
def test_accounts_that_programs_could_not_read_are_refused(workspace, alice, sign_in, changes, words):
    answer = sign_in(alice).post("/settings/bookkeeping/", form_of_settings(**changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not BookkeepingSettings.objects.exists()


def test_accounts_are_saved_and_hold_from_the_next_export_on(firm_of_alice, alice, sign_in):
    client = sign_in(alice)
    changes = {"name-amount-won": "Income:Gains", "number-cash": "1210", "advisor": "29098", "client": "55003"}
    assert client.post("/settings/bookkeeping/", form_of_settings(**changes)).status_code == 302
    stored = BookkeepingSettings.objects.get()
    assert (stored.names, stored.numbers) == ({"amount-won": "Income:Gains"}, {"cash": "1210"})
    assert AuditEntry.objects.get(action="bookkeeping changed").details["changed"] == sorted(changes)
    post(client, "/commissions/journal/export/", **DAYS)
    made = JournalExport.objects.get()
    assert b"Income:Gains" in client.get(f"/commissions/journal/{made.pk}/beancount/").content
    page = client.get(f"/commissions/journal/{made.pk}/datev/").content.decode()
    assert "currency=USD&amp;year=2026" in page
    file = client.get(f"/commissions/journal/{made.pk}/datev/?currency=USD&year=2026")
    assert file["Content-Disposition"] == 'attachment; filename="EXTF_Buchungsstapel_0001_USD_2026.csv"'
    for wrong in ("currency=EUR&year=2026", "currency=USD&year=2025", "currency=USD", "currency=USD&year=x"):
        assert client.get(f"/commissions/journal/{made.pk}/datev/?{wrong}").status_code == 404


def test_a_firm_without_books_is_told_so(alice, sign_in):
    page = sign_in(alice).get("/commissions/journal/")
    assert page.status_code == 200
    assert "There is nothing to export before" in page.content.decode()


def test_the_files_of_beancount_are_plain_text(exported):
    text = beancount_file(exported.may, read_bookings(exported.may)).decode()
    name = exported.firm.subscriber.name
    assert text.split("\n\n")[1:] == [
        f'2026-05-20 * "{name}" "Statement S-000001" ^S-000001\n  entry: "E{Entry.objects.get().pk}"\n'
        "  Assets:Receivables  19.00 USD\n  Income:Fees:Gains  -19.00 USD",
        "",
    ]
    assert Path(f"{exported.may.label}.beancount").name == "journal-0001-2026-05-01-2026-05-31.beancount"
