"""Fees that follow from single deals: after a change only the days with changed deals are read and written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reporting.commission import sources
from reporting.commission.charging import StrategyAccount, read_accounts
from reporting.commission.history import History, SpannedCalendar, TermsSpan, calendar_spans
from reporting.commission.periods import Calendar, PeriodLength
from reporting.commission.policy import Scheme, Terms
from reporting.commission.services import Bounds, accrue_workspace
from reporting.models import CommissionLine, Transaction
from tests import builders
from tests.firm import NOW, D, Firm, at

pytestmark = pytest.mark.django_db
MANY_DAYS = ["amount-won", "lots-won", "lots-traded", "amount-traded"]


def traded(scheme: str) -> Firm:
    """A firm with a settled April and an open May of several days."""
    firm = Firm(scheme, 0.2)
    for month, day in [(4, 3), (4, 30), (5, 1), (5, 2), (5, 2), (5, 12)]:
        firm.deal(at(month, day), "10", lots="0.30")
        firm.deal(at(month, day), lots="0.30", side="open")
    firm.complete_until(at(5, 13))
    firm.accrue()
    return firm


def same_from_nothing(firm: Firm, now=NOW) -> bool:
    """Whether the ledger, moments of its lines included, is what it would be if it were computed at once."""
    contents, moments = firm.contents(), sorted(firm.lines.values_list("key", "occurred_at"))
    firm.from_nothing(now)
    return contents == firm.contents() and moments == sorted(firm.lines.values_list("key", "occurred_at"))


@pytest.mark.parametrize("scheme", MANY_DAYS)
def test_only_changed_days_are_read(scheme, monkeypatch):
    firm = traded(scheme)
    standing = dict(firm.lines.values_list("pk", "amount"))
    monkeypatch.setattr(sources, "read_subscriptions", None)  # the whole open period
    firm.deal(at(5, 14), "50", lots="0.70")
    firm.deal(at(5, 14), "0", lots="0.70", side="open")
    assert firm.accrue().lines_written == 1
    assert len(firm.lines) == len(standing) + 1
    assert standing.items() <= dict(firm.lines.values_list("pk", "amount")).items()
    assert firm.accrue().lines_written == 0
    monkeypatch.undo()
    assert same_from_nothing(firm)


@pytest.mark.parametrize(
    ("number", "corrected"),
    [
        (9, {"profit": "25"}),
        (9, {"profit": "-1"}),
        (9, {"profit": "0"}),
        (9, {"volume_lots": D("0.4"), "amount": D(2000)}),
        (9, {"moment": at(5, 2, 11)}),
        (9, {"moment": at(5, 13, 0)}),
        (11, {"moment": at(5, 3, 0)}),
        (11, {"moment": at(5, 2, 23) + timedelta(minutes=59, seconds=59)}),
        (11, {"moment": at(4, 30, 23)}),
        (3, {"moment": at(5, 9)}),
        (5, {"moment": at(5, 1, 0), "profit": "11"}),
        (5, {"moment": at(5, 1, 0) - timedelta(microseconds=1)}),
    ],
)
@pytest.mark.parametrize("scheme", ["amount-won", "lots-traded"])
def test_corrected_deals_come_out_as_from_nothing(scheme, number, corrected):
    firm = traded(scheme)
    side = "close" if scheme == "amount-won" else "open"
    number += side == "open"
    deal = Transaction.objects.get(connection=firm.connection, backend_id=f"{number}:{side}")
    changes = {"lots": "0.30", "profit": deal.profit} | corrected
    moment = changes.pop("moment", deal.time)
    firm.deal(deal.time, changes.pop("profit"), number=number, side=side, **changes)  # the sync marks both days
    firm.deal(moment, corrected.get("profit", deal.profit), number=number, side=side, **changes)
    firm.accrue()
    total = firm.total
    firm.from_nothing()
    assert firm.total == total


def test_another_currency_is_charged_for_all_that_is_open():
    firm = traded("lots-traded")
    firm.subscriber.currency = "JPY"
    firm.subscriber.save()
    firm.deal(at(5, 14), lots="0.70", side="open")
    firm.accrue()
    assert set(firm.lines.filter(period_start__gte=at(5, 1, 0)).values_list("currency", flat=True)) == {"JPY"}
    assert set(firm.lines.filter(period_start__lt=at(5, 1, 0)).values_list("currency", flat=True)) == {"USD"}


def test_whoever_never_owed_anything_is_read_by_days_too(monkeypatch):
    firm = Firm("amount-won", 0.2)
    firm.deal(at(4, 3), "-10")
    firm.complete_until(at(5, 13))
    firm.accrue()
    monkeypatch.setattr(sources, "read_subscriptions", None)
    firm.deal(at(4, 30), "10")
    firm.deal(at(5, 13), "10")
    firm.accrue()
    assert [line.period_start for line in firm.lines] == [at(4, 1, 0), at(5, 1, 0)]
    monkeypatch.undo()
    assert same_from_nothing(firm)


def test_texts_of_any_kind_are_stored_as_they_are():
    firm = Firm("lots-traded", 2)
    names = ["a\\b", "a\tb", "a\nb\r", "\\N", "\\.", "ü 💶 \\t"]
    for number, name in enumerate(names):
        firm.deal(at(5, 2, number), number=name, side="open")
    firm.accrue()
    wanted = [f"{name}:open" for name in names]
    assert [line.key for line in firm.lines] == wanted
    assert [line.inputs["transaction"] for line in firm.lines] == wanted
    CommissionLine.objects.update(amount=0, exact_amount=0)
    firm.deal(at(5, 2, 9), number=names[0], side="open", subscriber=builders.subscriber(firm.connection))
    firm.change_scheme(commissionRate=3)
    firm.accrue(NOW + timedelta(days=40))  # all of it again, beside what stands
    assert [line.key for line in firm.lines if line.subscriber_id == firm.subscriber.backend_id] == wanted
    assert set(firm.amounts()) == {D("0.2")}


def test_who_is_charged_by_deals_alone():
    def history(*schemes):
        times = [None, at(5, 1), at(5, 8)]
        terms = [scheme and Terms(Scheme(scheme), D("0.2"), PeriodLength.MONTH) for scheme in schemes]
        return History(tuple(TermsSpan(since, span) for since, span in zip(times, terms, strict=False)))

    def account(history, **more):
        calendar = calendar_spans(history.spans, [(None, Calendar("UTC"))])
        return StrategyAccount(1, "s", history, calendar, ["s"], **more)

    won = history("amount-won")
    assert account(won).charged_by_deal(["a", "b"], None) == {"a", "b"}
    assert account(won, overrides={"b": history("amount-won")}).charged_by_deal(["a", "b"], None) == {"a"}
    assert account(won, agreed={"a": history("amount-won")}).charged_by_deal(["a", "b"], None) == {"b"}
    changed = account(history("high-water-mark", "amount-won", "lots-won"))
    assert changed.charged_by_deal(["a"], at(4, 30)) == set()
    assert changed.charged_by_deal(["a"], at(5, 1)) == {"a"}
    assert account(history("amount-won", "flat-fee")).charged_by_deal(["a"], at(4, 30)) == set()
    assert account(history("flat-fee", None)).charged_by_deal(["a"], at(5, 1)) == {"a"}
    member = {"m": type("Member", (), {"history": won, "calendar": SpannedCalendar()})()}
    assert account(won, members=member).charged_by_deal(["a"], None) == set()


def test_a_pass_counts_its_subscribers_once(monkeypatch):
    firm = Firm("amount-won", 0.2)
    for number in range(4):
        firm.deal(at(5, 2 + number), "10", subscriber=builders.subscriber(firm.connection))
    account = read_accounts(firm.connection.pk, NOW)[0]
    counted = sources.count_all_deals(account, None)
    assert len(counted) == 4
    calls = []
    monkeypatch.setattr(sources, "count_all_deals", lambda *asked: calls.append(asked) or counted)
    assert accrue_workspace(firm.workspace.pk, NOW, Bounds(subscribers=1)).lines_written == 4
    assert len(calls) == 1


def test_no_deal_is_read_for_schemes_that_need_none():
    firm = traded("amount-won")
    account, subscriber = read_accounts(firm.connection.pk, NOW)[0], firm.subscriber.backend_id
    read = {
        only: len(sources.read_subscriptions(account, [subscriber], at(5, 1, 0), only)[subscriber].deals)
        for only in [frozenset(), frozenset({Scheme.FLAT_FEE}), frozenset({Scheme.AMOUNT_WON}), frozenset(Scheme)]
    }
    assert list(read.values()) == [0, 0, 4, 8]
