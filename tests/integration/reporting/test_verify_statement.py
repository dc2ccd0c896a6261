"""A downloaded statement is recomputed by a program that has none of the portal's code, and every change is noticed."""

import copy
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from reporting.commission.consent import record_answers
from reporting.commission.statement_file import digest_of, statement_file
from reporting.models import CommissionPolicy, Statement, TermsVersion
from reporting.views.statements import lines_of
from tests import builders
from tests.firm import Firm, at
from tools import verify_statement

D = Decimal
JUNE = at(6, 2, 9)


def file_of(statement):
    """What the page of a statement offers for download, read back."""
    return json.loads(statement_file(statement, lines_of(statement)))


def check(tmp_path, *documents):
    """(exit status, what the program would print is kept in the capture)."""
    paths = []
    for number, document in enumerate(documents):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        paths.append(str(path))
    return verify_statement.main(paths)


def signed(document):
    """The file with a digest that fits: whoever changes a file can compute that too."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    return content | {"sha256": digest_of(content)}


def history(scheme, rate=0.2, currency="USD", policy=None, **workspace):
    """Gains and losses from January to May, closed month by month, two statements: January to March, April and May."""
    firm = Firm(scheme=scheme, rate=rate, currency=currency, **workspace)
    if policy:
        CommissionPolicy.objects.create(
            workspace=firm.workspace,
            connection=firm.connection,
            strategy_id=firm.strategy.backend_id,
            name="of the test",
            version=2,
            choices=policy,
            created_at=builders.LONG_AGO,
        )
    results = (100, -40, 95, 30.55, -10, 77.77, 60, -5, 20.02, 13)
    for number, result in enumerate(results):
        month, day = 1 + number // 2, 8 + 11 * (number % 2)
        firm.deal(at(month, day), D(str(result)), lots="0.37", amount="12345.67")
        firm.deal(at(month, day, 9), lots="0.37", amount="12345.67", side="open")
    firm.accrue(JUNE)
    statements = []
    for until in (at(4, 1, 0), at(6, 1, 0)):
        firm.close(until, JUNE)
        statements += firm.issue(until, JUNE, accepts_old_rates=True)
    return firm, statements


SCHEMES = {
    "flat-fee": 31.5,
    "lots-traded": 6,
    "lots-won": 6,
    "amount-traded": 0.0003,
    "amount-won": 0.2,
    "high-water-mark": 0.2,
}
POLICIES = {
    "gross": {"new_mark": "gross"},
    "loss memory": {"loss_memory_periods": 2},
    "hard hurdle": {"hurdle": "hard", "hurdle_rate": "0.05"},
    "soft hurdle": {"hurdle": "soft", "hurdle_rate": "0.05"},
}


def test_a_correction_on_a_later_statement_than_the_step_after_it_is_said(db, tmp_path, capsys):
    firm = Firm("high-water-mark", 0.2)
    firm.deal(at(1, 15), 100)
    firm.complete_until(at(2, 2))
    firm.accrue(at(2, 2))
    firm.deal(at(1, 20), 60)  # January has settled: that is corrected in March
    firm.deal(at(2, 20), 30)
    firm.complete_until(at(3, 2))
    firm.accrue(at(3, 2))
    firm.close(at(3, 1, 0), at(3, 2))
    (first,) = firm.issue(at(3, 1, 0), at(3, 2))
    document = file_of(first)
    assert check(tmp_path, document) == 0
    said = capsys.readouterr().out
    assert "changed by 60 after it was settled" in said
    assert "note: line 2" in said
    # without a late deal nothing explains it
    line = document["lines"][0]
    line["changed_since"], line["deals"] = "0", [deal for deal in line["deals"] if deal["net"] != "60"]
    assert check(tmp_path, signed(document)) == 1
    assert "no step before it in these files ends so" in capsys.readouterr().out


@pytest.mark.parametrize("late", [{"side": "open"}, {"profit": 0}])
def test_a_late_deal_without_a_result_is_no_disagreement(db, tmp_path, late):
    firm = Firm("high-water-mark", 0.2)
    firm.deal(at(1, 15), 100)
    firm.complete_until(at(2, 2))
    firm.accrue(at(2, 2))
    firm.deal(at(1, 20), **late)
    firm.complete_until(at(3, 2))
    firm.accrue(at(3, 2))
    firm.close(at(3, 1, 0), at(3, 2))
    (statement,) = firm.issue(at(3, 1, 0), at(3, 2))
    document = file_of(statement)
    assert check(tmp_path, document) == 0
    document["lines"][0]["deals"].pop()
    assert check(tmp_path, signed(document)) == 1


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("currency", ["USD", "JPY", "EUR"])
def test_what_was_issued_agrees(db, tmp_path, capsys, scheme, currency):
    rate = SCHEMES[scheme] * (100 if currency == "JPY" and scheme in ("flat-fee", "lots-traded", "lots-won") else 1)
    _, statements = history(scheme, rate, currency)
    first, second = (file_of(statement) for statement in statements)
    assert check(tmp_path, first) == 0
    assert check(tmp_path, second, first) == 0
    assert "everything agrees" in capsys.readouterr().out


@pytest.mark.parametrize("policy", POLICIES)
def test_policies_of_a_mark_are_recomputed(db, tmp_path, policy):
    _, statements = history("high-water-mark", policy=POLICIES[policy])
    first, second = (file_of(statement) for statement in statements)
    assert check(tmp_path, first) == 0
    assert check(tmp_path, second, first) == 0
    assert {line["policy"]["name"] for line in second["lines"]} == {"of the test"}


def test_late_deals_and_their_corrections_agree(db, tmp_path, capsys):
    firm, (first, second) = history("high-water-mark")
    firm.deal(at(2, 25), 50)
    firm.accrue(JUNE)
    july = datetime(2026, 7, 2, 9, tzinfo=UTC)
    firm.deal(at(6, 25), 10)
    firm.accrue(july)
    firm.close(at(7, 1, 0), july)
    (third,) = firm.issue(at(7, 1, 0), july)
    files = [file_of(statement) for statement in (first, second, third)]
    assert any(line["inputs"].get("corrects") for line in files[2]["lines"])
    assert check(tmp_path, files[0]) == 0
    assert "changed by 50 after it was settled" in capsys.readouterr().out
    assert check(tmp_path, files[1], files[0]) == 0
    assert check(tmp_path, files[2], files[1], files[0]) == 0


# --- Clients that refused a rise keep their terms and the length of period that they agreed on ------------------------
RESULTS = ((100, -40), (95, 30.55), (-10, 77.77), (60, -5), (20.02, 13), (-7, 45), (31, 8))


def refused(scheme, rate, length, change, *, is_late=False):
    """Files from January to July of a client that refused other terms of 10 February, and of one that agreed."""
    firm = Firm(scheme, rate, length, asks_consent=True)
    clients = [firm.subscriber, builders.subscriber(firm.connection, currency="USD")]
    for client in clients:
        builders.subscription(client, firm.strategy, first_seen_at=at(1, 1, 0))
    statements = []
    for month, results in enumerate(RESULTS, start=1):
        for number, client in enumerate(clients):
            firm.deal(at(month, 8), D(str(results[0])), subscriber=client)
            if is_late and month > 1:  # of a month that has settled
                firm.deal(at(month - 1, 27), 17 - 30 * number, subscriber=client)
        if month == 2:
            firm.accrue(at(2, 9))
            firm.change_scheme(**change)
            firm.accrue(at(2, 10))
            version = TermsVersion.objects.filter(subject="commission").last()
            for client, is_consent in zip(clients, (False, True), strict=True):
                record_answers(version, [client.backend_id], is_consent=is_consent, note="", by=None, now=at(2, 12))
        for client in clients:
            firm.deal(at(month, 19), D(str(results[1])), subscriber=client)
        now = at(month + 1, 2)
        firm.complete_until(now)
        firm.accrue(now)
        if month in (3, 4, 7):
            firm.close(at(month + 1, 1, 0), now)
            statements += firm.issue(at(month + 1, 1, 0), now, accepts_old_rates=True)
    own = [[file_of(each) for each in statements if each.subscriber_id == client.backend_id] for client in clients]
    assert all(own)
    return own


REFUSED = {
    "fixed fee by quarters": ("flat-fee", 31, "month", {"commissionRate": 200, "billingPeriod": "quarter"}),
    "fixed fee by months": ("flat-fee", 91, "quarter", {"commissionRate": 80, "billingPeriod": "month"}),
    "mark by months": ("high-water-mark", 0.2, "quarter", {"commissionRate": 0.3, "billingPeriod": "month"}),
    "mark by quarters": ("high-water-mark", 0.2, "month", {"commissionRate": 0.3, "billingPeriod": "quarter"}),
    "share of profits": ("amount-won", 0.1, "month", {"commissionRate": 0.3}),
}


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("change", REFUSED)
def test_who_refused_a_rise_can_verify_each_statement(db, tmp_path, capsys, change, is_late):
    for files_of_client in refused(*REFUSED[change], is_late=is_late):
        for number in range(len(files_of_client)):
            newest_first = files_of_client[number::-1]
            assert check(tmp_path, *newest_first) == 0, capsys.readouterr().out


@pytest.mark.parametrize("parts", ["one day fewer", "a shorter period", "one left out", "more days than a period has"])
def test_a_fee_by_other_periods_that_was_changed_is_noticed(db, tmp_path, capsys, parts):
    own, _ = refused(*REFUSED["fixed fee by quarters"])
    document, line = next(
        (each, line) for each in own for line in each["lines"] if len(line["inputs"].get("by_period", ())) > 1
    )
    by_period = line["inputs"]["by_period"]
    days, whole = by_period[0]
    changed = {
        "one day fewer": [[days - 1, whole], *by_period[1:]],
        "a shorter period": [[days, whole - 1], *by_period[1:]],
        "one left out": by_period[1:],
        "more days than a period has": [[sum(n for n, _ in by_period), 1]],
    }
    line["inputs"]["by_period"] = changed[parts]
    assert check(tmp_path, signed(document)) == 1
    assert f"line {document['lines'].index(line) + 1} (" in capsys.readouterr().out


def test_a_step_that_is_said_not_to_be_due_is_noticed(db, files, tmp_path, capsys):
    own, _ = refused(*REFUSED["mark by months"])
    document, number = next(
        (each, number) for each in own for number, line in enumerate(each["lines"]) if "is_due" in line["inputs"]
    )
    inputs = document["lines"][number]["inputs"]
    for name in ("mark_before", "chargeable", "hurdle", "mark_after", "is_due"):
        wrong = copy.deepcopy(document)
        wrong["lines"][number]["inputs"][name] = True if name == "is_due" else more(inputs[name])
        assert check(tmp_path, signed(wrong)) == 1
        assert f"line {number + 1} (" in capsys.readouterr().out
    wrong = copy.deepcopy(files["high-water-mark"][1])
    wrong["lines"][0]["inputs"]["is_due"] = False
    assert check(tmp_path, signed(wrong)) == 1
    assert "though a period ends" in capsys.readouterr().out


# --- Changes of a file ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def files(django_db_setup, django_db_blocker):
    """A file of each scheme, and the one before it: made once, only read by the tests."""
    with django_db_blocker.unblock():
        from django.db import transaction

        made = {}
        with transaction.atomic():
            for scheme, rate in SCHEMES.items():
                _, statements = history(scheme, rate, "EUR")
                made[scheme] = [file_of(statement) for statement in statements]
            transaction.set_rollback(True)
    return made


def line_with(document, name):
    """The first line that has such an input."""
    return next(line for line in document["lines"] if name in line["inputs"])


def more(value):
    """Another value of the same kind."""
    if isinstance(value, int):
        return value + 1
    try:
        return str(D(value) + D("0.01"))
    except ArithmeticError:
        return (datetime.fromisoformat(value) + timedelta(days=40)).isoformat()


PER_DEAL = {"lots-traded": "lots", "lots-won": "lots", "amount-traded": "amount", "amount-won": "result"}
CHANGES = [(scheme, "inputs", name) for scheme, name in PER_DEAL.items()]
CHANGES += [("flat-fee", "inputs", name) for name in ("days", "days_of_period", "last_day")]
CHANGES += [
    ("high-water-mark", "inputs", name)
    for name in ("result", "deals", "measured", "mark_before", "hurdle", "chargeable", "mark_after", "before", "after")
]
CHANGES += [(scheme, "", name) for scheme in SCHEMES for name in ("rate", "exact_amount", "amount")]
CHANGES += [("amount-won", "reporting", name) for name in ("rate", "amount")]


@pytest.mark.parametrize(("scheme", "where", "name"), CHANGES)
def test_a_changed_input_is_noticed_and_its_line_named(files, tmp_path, capsys, scheme, where, name):
    document = copy.deepcopy(files[scheme][1])
    line = line_with(document, name) if where == "inputs" else document["lines"][0]
    place = line[where] if where else line
    if isinstance(place[name], dict):
        place, name = place[name], "level"
    if name == "last_day":
        place[name] = (datetime.fromisoformat(place[name]) - timedelta(days=1)).date().isoformat()
    else:
        place[name] = more(place[name])
    assert check(tmp_path, signed(document)) == 1
    said = capsys.readouterr().out
    assert f"line {document['lines'].index(line) + 1} (" in said
    assert "SHA-256" not in said


def test_without_a_new_digest_any_change_is_noticed(files, tmp_path, capsys):
    document = copy.deepcopy(files["amount-won"][1])
    document["statement"]["client"] = "Somebody else"
    assert check(tmp_path, document) == 1
    assert "SHA-256" in capsys.readouterr().out


def test_a_line_twice_or_left_out(files, tmp_path, capsys):
    document = copy.deepcopy(files["amount-won"][1])
    document["lines"].append(document["lines"][0])
    assert check(tmp_path, signed(document)) == 1
    assert "charges the same as line 1" in capsys.readouterr().out
    document["lines"] = document["lines"][1:-1]
    assert check(tmp_path, signed(document)) == 1
    assert "lines come to" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["amount", "total"])
def test_a_changed_sum(files, tmp_path, capsys, name):
    document = copy.deepcopy(files["amount-won"][1])
    document["statement"][name] = more(document["statement"][name])
    assert check(tmp_path, signed(document)) == 1
    assert f"the statement's {name} is" in capsys.readouterr().out


def test_a_deal_of_a_step_that_was_changed_left_out_or_moved(files, tmp_path, capsys):
    for change in ("net", "gone", "time"):
        document = copy.deepcopy(files["high-water-mark"][1])
        line = next(line for line in document["lines"] if line["deals"])
        if change == "gone":
            line["deals"].pop()
        else:
            line["deals"][0][change] = more(line["deals"][0][change])
        assert check(tmp_path, signed(document)) == 1
        assert "line " in capsys.readouterr().out


def shifted(step, amount):
    """A step whose mark before and after are wrong by the same amount: alone it agrees with itself."""
    for mark in (step["before"], step["after"]):
        mark["level"] = str(D(mark["level"]) + amount)
        mark["realised"] = str(D(mark["realised"]) + amount)
    for name in ("mark_before", "mark_after", "measured"):
        step[name] = str(D(step[name]) + amount)


def test_the_same_fault_twice_is_noticed_by_the_chain(files, tmp_path, capsys):
    """A mark that is wrong before and after a step agrees with itself: `recompute` cannot see it."""
    first, document = (copy.deepcopy(each) for each in files["high-water-mark"])
    for line in document["lines"]:
        shifted(line["inputs"], 25)
    document["lines"][1]["previous"]["after"] = document["lines"][0]["inputs"]["after"]
    assert check(tmp_path, signed(document)) == 1
    assert "line 1 (" in (said := capsys.readouterr().out)
    assert "the step before it (S-000001" in said
    # carried on once more, into what is said of the statement before: then that file knows better
    document["lines"][0]["previous"]["after"] = document["lines"][0]["inputs"]["before"]
    assert check(tmp_path, signed(document)) == 0
    assert check(tmp_path, signed(document), first) == 1
    assert "S-000001 has no step that ended so" in capsys.readouterr().out


def test_a_step_that_names_another_past_than_the_file_has(files, tmp_path, capsys):
    document = copy.deepcopy(files["high-water-mark"][1])
    shifted(document["lines"][1]["inputs"], 25)
    document["lines"][1]["previous"] = {
        "statement": None,
        "line": 1,
        "at": document["lines"][1]["inputs"]["from"],
        "after": document["lines"][1]["inputs"]["before"],
    }
    assert check(tmp_path, signed(document)) == 1
    assert "line 2 (" in capsys.readouterr().out


def goes_on(basis, before, after_of_step_before, changed="0"):
    """A file of one step that begins with a mark, where the step before it ended with another: (problems, notes)."""
    line = {
        "strategy_id": "s1",
        "key": "period",
        "period_start": "2026-04-01T00:00:00+00:00",
        "policy": {"basis": basis},
        "inputs": {"from": "2026-04-01T00:00:00+00:00", "at": "2026-05-01T00:00:00+00:00", "before": before},
        "previous": {"statement": None, "at": "2026-04-01T00:00:00+00:00", "after": after_of_step_before},
        "changed_since": changed,
    }
    notes: list[str] = []
    document = {"statement": {"number": "S-2"}, "lines": [line]}
    return verify_statement.check_chain(document, [], notes), notes


def mark(level="100", realised="10"):
    return {"level": level, "realised": realised, "periods": 1, "deficits": []}


@pytest.mark.parametrize(
    ("basis", "other", "changed", "problems", "notes"),
    [
        ("equity", mark(), "0", 0, 0),
        ("equity", mark(realised="-3"), "0", 0, 0),  # no part of an account's value
        ("equity", mark(level="100.01"), "0", 1, 0),
        ("profit", mark(), "0", 0, 0),
        ("profit", mark(realised="-3"), "0", 1, 0),
        ("profit", mark(level="100.01"), "0", 1, 0),
        ("profit", mark(realised="-3"), "-13", 0, 1),  # a late deal, which a later correction may have taken up
    ],
)
def test_a_step_goes_on_from_the_mark_of_the_step_before_it(basis, other, changed, problems, notes):
    answer = goes_on(basis, mark(), other, changed)
    assert [len(sentences) for sentences in answer] == [problems, notes], answer


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "copyportal-statement-1"}', "\x00"])
def test_what_is_no_statement_cannot_be_checked(tmp_path, content, capsys):
    path = tmp_path / "x.json"
    path.write_text(content)
    assert verify_statement.main([str(path)]) == 2
    assert "cannot be checked" in capsys.readouterr().out


def test_an_unknown_scheme_cannot_be_checked(files, tmp_path):
    document = copy.deepcopy(files["amount-won"][1])
    document["lines"][0]["scheme"] = "of-tomorrow"
    assert check(tmp_path, signed(document)) == 2


# --- The download -----------------------------------------------------------------------------------------------------
def test_who_may_download_it(business, sign_in, alice, bob, dora, charlie, tmp_path):
    from reporting.commission.closing import close_periods
    from reporting.commission.credit_notes import issue_credit_note
    from reporting.commission.statements import issue_statements
    from reporting.models import BillingPeriod
    from tests.integration.reporting.test_books_pages import earn_long_ago

    earn_long_ago(business, business.hers, business.other)
    ended = BillingPeriod.objects.filter(period_end__lte=business.now)
    close_periods(business.workspace, ended, now=business.now)
    issue_statements(
        business.workspace, until=business.now, due_on=business.now.date(), now=business.now, accepts_old_rates=True
    )
    hers, others = (Statement.objects.get(subscriber_id=one.backend_id) for one in (business.hers, business.other))
    path = f"/statements/{hers.pk}/file/"
    answers = [sign_in(person).get(path) for person in (alice, bob, dora, charlie)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert sign_in(dora).get(f"/statements/{others.pk}/file/").status_code == 404
    assert sign_in(None).get(path).status_code == 302
    assert answers[0]["Content-Disposition"] == 'attachment; filename="S-000001.json"'
    (tmp_path / "file.json").write_bytes(answers[2].content)
    assert verify_statement.main([str(tmp_path / "file.json")]) == 0
    note = issue_credit_note(hers, amount=D(1), reason="x", now=business.now)
    assert sign_in(alice).get(f"/statements/{note.pk}/file/").status_code == 404


def test_the_program_is_short_and_needs_nothing_else():
    import ast
    from pathlib import Path

    source = Path(verify_statement.__file__).read_text()
    assert source.count("\n") <= 400
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        )
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported <= {"__future__", "hashlib", "json", "sys", "datetime", "decimal"}
