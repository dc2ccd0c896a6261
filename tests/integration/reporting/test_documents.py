"""Documents that a firm can send: who sends them, tax, numbers, a smallest sum; on paper in any script."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from django.db import connections
from PIL import Image

from reporting.commission.accounts import balance_of, credit_of
from reporting.commission.credit_notes import creditable, issue_credit_note, void_statement
from reporting.commission.payments import PaidVoid
from reporting.commission.pdf import statement_pdf
from reporting.commission.statement_file import statement_file
from reporting.models import BillingIdentity, ClientRecord, Entry, Payment, Statement
from reporting.views.statements import lines_of
from tests import builders
from tests.firm import Firm, at
from tests.pdf_reader import pdf_pages, pdf_text
from tools import verify_statement
from users import logos
from users.models import User

pytestmark = pytest.mark.django_db
D = Decimal
MAY, ISSUED = at(6, 1, 0), datetime(2026, 6, 2, 9, tzinfo=UTC)


def closed_firm(result=100, currency="USD", **identity):
    """A firm with a fee of 20 % of the result in May, closed, and what stands on its documents."""
    firm = Firm(currency=currency)
    if identity:
        BillingIdentity.objects.create(workspace=firm.workspace, **identity)
    earn(firm, result)
    return firm


def earn(firm, result, month=5, now=ISSUED):
    firm.deal(at(month, 28), result)
    firm.accrue(now)
    firm.close(at(month + 1, 1, 0), now)


def issue(firm, **more):
    return firm.issue(MAY, ISSUED, accepts_old_rates=True, **more)


def read(statement):
    return Statement.objects.with_balance().select_related("subscriber", "corrects").get(pk=statement.pk)


def paper_of(statement):
    return statement_pdf(read(statement), lines_of(statement).order_by("period_start", "occurred_at", "pk"))


# --- Logo ---
def test_a_document_is_printed_with_the_logo_of_its_day_for_ever():
    firm = closed_firm(100)
    picture = BytesIO()
    Image.new("RGB", (300, 80), "#0b5394").save(picture, "PNG")
    picture.seek(0)
    logos.choose(firm.workspace, picture, by=User.objects.create(email="o@example.com"), now=ISSUED)
    statement = issue(firm)[0]
    logos.remove(firm.workspace, by=User.objects.get(email="o@example.com"), now=ISSUED)
    assert b"/Subtype /Image" in paper_of(statement)
    earn(firm, 100, month=6, now=at(7, 2))
    later = firm.issue(at(7, 1, 0), at(7, 2), accepts_old_rates=True)[0]
    assert b"/Subtype /Image" not in paper_of(later)


# --- Tax --------------------------------------------------------------------------------------------------------------
VAT = {"tax_kind": "rate", "tax_rate": D("0.19")}


@pytest.mark.parametrize(
    ("result", "currency", "identity", "tax"),
    [
        (D("100.40"), "USD", VAT, "3.82"),  # 19 % of 20.08 is 3.8152
        (D("100.125"), "USD", VAT, "3.81"),  # of the rounded 20.03: 3.8057
        (1234, "JPY", VAT, "47"),  # of 247: 46.93
        (50, "USD", {"tax_kind": "rate", "tax_rate": D("0.1995")}, "2.00"),  # 1.995: half a cent is a cent
        (50, "USD", {"tax_kind": "rate", "tax_rate": D("0.1994")}, "1.99"),
        (5, "JPY", {"tax_kind": "rate", "tax_rate": D("0.5")}, "1"),  # half a yen
        (100, "USD", {"tax_kind": "reverse-charge", "tax_rate": D("0.19"), "tax_reason": "Article 196"}, "0"),
        (100, "USD", {"tax_kind": "exempt", "tax_reason": "Section 4"}, "0"),
        (100, "USD", {}, "0"),
    ],
)
def test_tax_is_rounded_once_on_the_sum_and_owed_with_it(result, currency, identity, tax, tmp_path, capsys):
    firm = closed_firm(result, currency, **identity)
    (statement,) = issue(firm)
    assert statement.tax == D(tax)
    assert statement.total == statement.amount + D(tax) == balance_of(statement)
    assert Entry.objects.get().amount == statement.total
    text = pdf_text(paper_of(statement))
    reason = identity.get("tax_reason", "")
    assert reason in text
    percent = f"{(identity.get('tax_rate', D(0)) * 100).normalize():f}"
    assert (f" {percent} %\n" in text.split("20 % =")[0]) is bool(statement.tax)
    path = tmp_path / "file.json"
    path.write_bytes(statement_file(statement, lines_of(statement)))
    assert verify_statement.main([str(path)]) == 0, capsys.readouterr().out
    document = json.loads(path.read_text())
    document["statement"]["tax"]["amount"] = str(D(tax) + 1)
    document["sha256"] = verify_statement.digest_of(document)
    path.write_text(json.dumps(document))
    assert verify_statement.main([str(path)]) == 1


def test_a_client_can_be_taxed_otherwise():
    firm = closed_firm(**VAT)
    ClientRecord.objects.create(subscriber=firm.subscriber, tax_kind="reverse-charge", tax_reason="Article 196")
    (statement,) = issue(firm)
    assert (statement.tax, statement.tax_rate) == (0, 0)
    assert "Reverse charge: the client owes the tax. Article 196" in pdf_text(paper_of(statement))


def test_credit_notes_in_parts_take_off_all_of_the_tax():
    firm = closed_firm(D("100.15"), **VAT)  # 20.03 and 3.81
    (statement,) = issue(firm)
    notes = [issue_credit_note(statement, amount=D(part), reason="x", now=ISSUED) for part in ("7.95", "7.94")]
    notes.append(issue_credit_note(statement, amount=creditable(statement), reason="x", now=ISSUED))
    assert sum(note.total for note in notes) == -statement.total
    assert sum(note.tax for note in notes) == -statement.tax
    assert notes[0].tax == D("-1.27")  # 7.95 x 0.19 / 1.19 is 1.2693
    assert (balance_of(statement), creditable(statement)) == (0, 0)


@pytest.mark.parametrize("part", ["0.01", "0.02", "0.04", "0.07"])
def test_the_tax_of_many_small_credit_notes_is_that_of_their_sum(part):
    firm = closed_firm(1, **VAT)  # 0.20 and 0.04
    (statement,) = issue(firm)
    notes = []
    while left := creditable(statement):
        notes.append(issue_credit_note(statement, amount=min(D(part), left), reason="x", now=ISSUED))
        credited, tax = -sum(note.total for note in notes), -sum(note.tax for note in notes)
        assert abs(tax - credited * D("0.19") / D("1.19")) <= D("0.005")
    assert all(note.amount <= 0 and note.tax <= 0 for note in notes)
    assert (credited, tax) == (D("0.24"), D("0.04"))


def test_tax_is_rounded_on_a_statement_as_a_whole_not_by_period():
    """Two strategies' fees of 0.13 with 19 % each: 0.0494 of their sum, not twice 0.0247."""
    firm = closed_firm(D("0.65"), **VAT)
    earn(firm, D("0.65"), 6, at(7, 2))
    (statement,) = firm.issue(at(7, 1, 0), at(7, 2))
    assert (statement.items.count(), statement.amount, statement.tax) == (2, D("0.26"), D("0.05"))


def test_what_a_client_gets_back_has_its_tax_back():
    firm = closed_firm(100, **VAT)
    issue(firm)
    firm.deal(at(5, 28), D("47.5"), number=1)  # 10.50 less, with 1.995 of tax
    firm.accrue(ISSUED)
    firm.close(at(7, 1, 0), at(7, 2))
    (statement,) = firm.issue(at(7, 1, 0), at(7, 2))
    assert (statement.amount, statement.tax) == (D("-10.50"), D("-2.00"))


def test_voiding_takes_the_tax_back_too():
    firm = closed_firm(**VAT)
    (statement,) = issue(firm)
    void_statement(statement, reason="wrong client", now=ISSUED)
    assert (balance_of(statement), credit_of(firm.account)) == (0, 0)


# --- Who sends it, and numbers ----------------------------------------------------------------------------------------
def test_documents_keep_what_they_were_issued_with():
    firm = closed_firm(
        name="Alpine Ltd",
        address="1 High St\nZürich",
        tax_number="CHE-1",
        bank_details="IBAN CH1",
        terms="Thirty days.",
        **VAT,
    )
    ClientRecord.objects.create(subscriber=firm.subscriber, name="Dora Keller", address="Road 2", notes="Careful")
    (statement,) = issue(firm)
    before = paper_of(statement)
    BillingIdentity.objects.update(name="Other", address="", tax_rate=D("0.07"), bank_details="", statement_prefix="X-")
    ClientRecord.objects.update(name="Somebody", address="")
    text = pdf_text(paper_of(statement))
    assert text == pdf_text(before)
    for part in (
        "Alpine Ltd",
        "1 High St",
        "Zürich",
        "Tax number CHE-1",
        "Dora Keller",
        "Road 2",
        "IBAN CH1",
        "Thirty days.",
        "VAT 19 %",
        "S-000001",
    ):
        assert part in text
    assert "Careful" not in text
    note = issue_credit_note(statement, amount=D(1), reason="agreed", now=ISSUED)
    assert "Alpine Ltd" in pdf_text(paper_of(note))


def test_numbers_of_a_series_have_no_gap_and_begin_anew_with_the_year():
    firm = closed_firm()
    labels = [issue(firm)[0].label]
    BillingIdentity.objects.create(workspace=firm.workspace, statement_prefix="INV-", has_year=True)
    ends = [at(7, 1, 0), *(datetime(2027, month, 1, tzinfo=UTC) for month in (1, 2, 3))]
    for until in ends:
        if until == ends[-1]:
            BillingIdentity.objects.update(statement_prefix="S-", has_year=False)
        firm.deal(until - timedelta(days=3), 10)
        firm.accrue(until + timedelta(days=1))
        firm.close(until, until + timedelta(days=1))
        statements = firm.issue(until, until + timedelta(days=1))
        labels += [each.label for each in statements]
    assert labels == ["S-000001", "INV-2026-000001", "INV-2027-000001", "INV-2027-000002", "S-000002"]
    BillingIdentity.objects.update(credit_note_prefix="K/")
    assert issue_credit_note(statements[0], amount=D(1), reason="x", now=ISSUED).label == "K/000001"


# --- The smallest statement -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("result", "currency", "is_issued"),
    [("24.95", "USD", False), (25, "USD", True), ("25.05", "USD", True), (5, "EUR", True)],
)
def test_a_sum_below_the_minimum_waits_for_the_next_statement(result, currency, is_issued):
    firm = closed_firm(D(result), currency, minimums={"USD": "5.00"})
    assert bool(issue(firm)) is is_issued
    if not is_issued:
        earn(firm, 1, 6, at(7, 2))
        (statement,) = firm.issue(at(7, 1, 0), at(7, 2))
        assert (statement.amount, statement.items.count()) == (D("5.19"), 2)


def test_a_small_sum_is_issued_when_asked_for():
    firm = closed_firm(1, minimums={"USD": "5"})
    assert issue(firm) == []
    assert issue(firm, with_small=True)[0].amount == D("0.20")


def test_what_a_client_gets_back_never_waits():
    firm = closed_firm(100, minimums={"USD": "5"})
    issue(firm)
    firm.deal(at(5, 28), 90, number=1)
    firm.accrue(ISSUED)
    firm.close(at(7, 1, 0), at(7, 2))
    (statement,) = firm.issue(at(7, 1, 0), at(7, 2))
    assert statement.amount == D("-2.00")


# --- Twice, and void --------------------------------------------------------------------------------------------------
def test_a_credit_note_sent_twice_is_one():
    firm = closed_firm()
    (statement,) = issue(firm)
    token = uuid.uuid4()
    notes = [issue_credit_note(statement, amount=D(3), reason="x", now=ISSUED, token=token) for _ in range(2)]
    assert notes[0] == notes[1]
    assert (Statement.objects.count(), balance_of(statement)) == (2, D(17))
    issue_credit_note(statement, amount=D(3), reason="x", now=ISSUED, token=uuid.uuid4())
    assert balance_of(statement) == D(14)


@pytest.mark.django_db(transaction=True)
def test_a_credit_note_sent_by_two_at_once_is_one():
    firm = closed_firm()
    (statement,) = issue(firm)
    token, labels, failures = uuid.uuid4(), [], []
    start = threading.Barrier(3)

    def send():
        try:
            own = Statement.objects.get(pk=statement.pk)
            start.wait(20)
            labels.append(issue_credit_note(own, amount=D(3), reason="x", now=ISSUED, token=token).label)
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (labels, failures) == (["C-000001"] * 3, [])
    assert balance_of(statement) == D(17)


def test_a_payment_to_a_void_statement_asks():
    firm = closed_firm()
    (statement,) = issue(firm)
    void_statement(statement, reason="x", now=ISSUED)
    with pytest.raises(PaidVoid, match="S-000001 is void"):
        firm.pay(5, statement)
    assert not Payment.objects.exists()
    firm.pay(5, statement, accepts_void=True)
    assert credit_of(firm.account) == 5


def test_the_page_asks_one_question_after_the_other(sign_in, text_of):
    """A void statement, and a currency whose last rate is of 2022: each is asked, and no answer is lost."""
    firm = closed_firm()
    (statement,) = issue(firm)
    void_statement(statement, reason="x", now=ISSUED)
    client = sign_in(builders.member(firm.workspace, "olga", "owner"))
    path = f"/commissions/payments/new/?statement={statement.pk}"
    sent = {"amount": "100", "currency": "RUB", "received_on": "2026-05-20", "token": str(uuid.uuid4())}
    asked = client.post(path, sent)
    assert (asked.status_code, "S-000001 is void" in text_of(asked)) == (422, True)
    sent["accepts_void"] = "on"
    asked = client.post(path, sent)
    assert (asked.status_code, "The newest rate for RUB is of 2022-03-01" in text_of(asked)) == (422, True)
    assert 'name="accepts_void"' in asked.content.decode()
    assert not Payment.objects.exists()
    assert client.post(path, sent | {"accepts_old_rate": "on"}).status_code == 302
    assert credit_of(firm.account) == Payment.objects.get().settled > 0


# --- Paper ------------------------------------------------------------------------------------------------------------
NAMES = ["Иван Петров", "Łukasz Żółć", "Ελένη Παπά", "Søren Ærø", "Գոռ Ան", "გიორგი", "王小明", "さくら", "김철수"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_many_scripts_are_on_paper_as_they_are(name):
    firm = closed_firm(name=f"{name} & <b>Co</b>")
    ClientRecord.objects.create(subscriber=firm.subscriber, name=name)
    text = pdf_text(paper_of(issue(firm)[0]))
    assert f"{name} & <b>Co</b>" in text.replace("\n", "")
    assert "?" not in text


def test_words_of_right_to_left_scripts_are_drawn_the_other_way_round():
    firm = closed_firm()
    ClientRecord.objects.create(subscriber=firm.subscriber, name="דוד כהן (3)")
    assert "ןהכ דוד (3)" in pdf_text(paper_of(issue(firm)[0]))


def test_each_row_has_its_period_and_figures_stand_below_their_title():
    firm = closed_firm(100)
    earn(firm, D("33333.35"), 6, at(7, 2))
    (statement,) = firm.issue(at(7, 1, 0), at(7, 2), accepts_old_rates=True)
    (page,) = pdf_pages(paper_of(statement))
    texts = [text for _, _, text in page]
    for days in ("2026-05-01 – 2026-05-31", "2026-06-01 – 2026-06-30"):
        assert days in texts
    assert "Page 1 of 1" in texts

    from reporting.commission.paper import BODY, SMALL, width_of

    ends = {round(x + width_of(text, BODY), 1) for x, _, text in page if text in ("20.00", "6\u00a0666.67")}
    ends |= {round(x + width_of(text, SMALL), 1) for x, _, text in page if text.startswith("Amount, ")}
    assert len(ends) == 1


def test_a_long_statement_says_the_page_and_repeats_the_titles():
    firm = Firm(scheme="lots-traded", rate=1)
    for number in range(150):
        firm.deal(at(5, 2) + timedelta(hours=number), side="open", lots="1")
    firm.accrue(ISSUED)
    firm.close(MAY, ISSUED)
    pages = pdf_pages(paper_of(issue(firm)[0]))
    count = len(pages)
    assert count > 2
    for number, page in enumerate(pages, start=1):
        texts = [text for _, _, text in page]
        assert f"Page {number} of {count}" in texts
        assert "Amount, USD" in texts
        assert all(y > 20 for _, y, _ in page)
        lines = [(x, y) for x, y, _ in page]
        assert len(lines) == len(set(lines))


def test_voiding_and_credit_notes_are_documents():
    firm = closed_firm()
    (statement,) = issue(firm)
    note = issue_credit_note(statement, amount=D(3), reason="As agreed on the phone", now=ISSUED)
    text = pdf_text(paper_of(note))
    for part in (
        "Credit note",
        "C-000001",
        "Corrects S-000001",
        "of 2026-06-02 over 20.00 USD",
        "As agreed",
        "-3.00 USD",
    ):
        assert part in text
    void_statement(statement, reason="Wrong account", now=ISSUED)
    text = pdf_text(paper_of(statement))
    for part in ("VOID: this document was taken back on 2026-06-02.", "Reason: Wrong account", "S-000001"):
        assert part in text


# --- Pages ------------------------------------------------------------------------------------------------------------
IDENTITY = {
    "name": "Alpine Ltd",
    "statement_prefix": "INV-",
    "credit_note_prefix": "CN-",
    "has_year": "on",
    "tax_kind": "rate",
    "tax_name": "VAT",
    "percent": "19",
    "minimum_text": "USD 5, JPY 500",
}


def test_the_billing_page_stores_what_it_shows(workspace, sign_in, alice, bob, dora, charlie):
    answer = sign_in(alice).post("/settings/billing/", IDENTITY)
    assert answer.status_code == 302
    identity = BillingIdentity.objects.get()
    assert (identity.tax_rate, identity.minimums) == (D("0.19"), {"USD": "5", "JPY": "500"})
    assert identity.series(identity.statement_prefix, 2026) == "INV-2026-"
    body = sign_in(alice).get("/settings/billing/").content.decode()
    assert 'value="19"' in body
    assert "USD 5, JPY 500" in body
    assert [sign_in(one).get("/settings/billing/").status_code for one in (bob, dora)] == [200, 404]
    assert [sign_in(one).post("/settings/billing/", IDENTITY).status_code for one in (bob, dora)] == [403, 404]
    assert "Alpine" not in sign_in(charlie).get("/settings/billing/").content.decode()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"percent": ""}, "What is the rate"),
        ({"percent": "60"}, "too large"),
        ({"percent": "-1"}, "not negative"),
        ({"tax_kind": "exempt"}, "Say why no tax"),
        ({"statement_prefix": "CN-"}, "another beginning"),
        ({"statement_prefix": "INV1"}, "none of the digits last"),
        ({"statement_prefix": "<b>"}, "Letters, digits"),
        ({"minimum_text": "5 USD"}, "no currency and amount"),
        ({"minimum_text": "JPY 5.5"}, "more decimals than JPY"),
        ({"minimum_text": "USD -5"}, "more than 0"),
    ],
)
def test_what_the_billing_page_refuses(workspace, sign_in, alice, values, words, text_of):
    answer = sign_in(alice).post("/settings/billing/", {**IDENTITY, **values})
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not BillingIdentity.objects.exists()


def test_the_record_of_a_client_is_the_firms_business(workspace, sign_in, alice, bob, dora, charlie):
    account = builders.subscriber(builders.connection(workspace), access=dora)
    path, values = f"/subscribers/{account.pk}/client/", {"name": "Dora Keller", "notes": "Calls on Mondays"}
    assert sign_in(alice).post(path, values).status_code == 302
    assert ClientRecord.objects.get().changed_by == alice
    assert "Calls on Mondays" in sign_in(bob).get(path).content.decode()
    assert [sign_in(one).get(path).status_code for one in (dora, charlie)] == [404, 404]
    assert [sign_in(one).post(path, values).status_code for one in (bob, dora, charlie)] == [403, 404, 404]
    assert sign_in(alice).post(path, {"email": "no address"}).status_code == 422


def test_debt_by_age(sign_in, text_of):
    """A row before, at and after each edge; currencies are never added up, not even on one account's behalf."""
    firm = Firm()
    owner = builders.member(firm.workspace, "olga", "owner")
    from django.utils import timezone

    today = timezone.now().date()
    other = builders.subscriber(firm.connection, currency="JPY")
    rows = [(firm.subscriber, "USD", days, 10**n) for n, days in enumerate((-1, 0, 1, 30, 31, 60, 61, 90, 91), start=1)]
    rows += [(other, "JPY", 30, 5), (other, "JPY", 31, 7), (other, "JPY", 0, 3)]
    for number, (account, currency, days, amount) in enumerate(rows, start=1):
        statement = Statement.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            subscriber_id=account.backend_id,
            number=number,
            workspace_name="x",
            subscriber_name="y",
            first_day=today,
            last_day=today,
            currency=currency,
            amount=amount,
            reporting_currency="USD",
            due_on=today - timedelta(days=days),
            issued_at=timezone.now(),
        )
        Entry.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            subscriber_id=account.backend_id,
            currency=currency,
            kind="statement",
            amount=amount,
            statement=statement,
            day=today,
            made_at=timezone.now(),
        )
    sign_in(owner)
    from reporting.views.payments import ages_of

    class Request:
        membership = owner.memberships.get()
        workspace = firm.workspace

    yen, row = ages_of(Request())
    assert yen == {
        "currency": "JPY",
        "not_due": 3,
        "accounts": 1,
        "overdue_30": 5,
        "overdue_60": 7,
        "overdue_90": None,
        "overdue_older": None,
        "in_dispute": 0,
    }
    assert row == {
        "currency": "USD",
        "not_due": D(110),
        "accounts": 1,
        "overdue_30": D(11_000),
        "overdue_60": D(1_100_000),
        "overdue_90": D(110_000_000),
        "overdue_older": D(10**9),
        "in_dispute": 0,
    }
    client = sign_in(owner)
    assert "61–90 days" in text_of(client.get("/commissions/debt/"))
    csv = client.get("/commissions/debt/?format=csv")
    assert b"11000" in b"".join(csv.streaming_content if csv.streaming else [csv.content])
    assert "2 accounts</a> overdue" in " ".join(text_of(client.get("/")).split())
