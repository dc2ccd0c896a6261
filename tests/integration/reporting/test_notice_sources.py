"""What is found to tell people of: stopouts, limits, failed copies, connections, accounts and the books."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting import notice_sources
from reporting.drift import drifting
from reporting.models import Decision, OpenPosition, OpenTrade, PositionReading, Statement, SyncKind, SyncState
from reporting.notice_sources import FAILING_FOR, SOURCES, collect
from reporting.watching import BY_ACCOUNT
from tests import builders
from tests.integration.reporting.test_event_sources import failed_copy
from tests.integration.reporting.test_mailing import firm_with_statement
from users.notice_packing import TAKEN_BACK, pack_due, why_unwanted
from users.notice_rules import KINDS
from users.notice_telling import NoticeCause, take_up
from users.notices import Notice, NoticeChoice, NoticeMessage, NoticePart, NoticeStart

pytestmark = pytest.mark.django_db


def titles(**fields) -> list[str]:
    return list(Notice.objects.filter(**fields).order_by("pk").values_list("title", flat=True))


def found(kind: str, workspace, now=None) -> list[str]:
    return [cause.title for cause in SOURCES[kind](workspace, now or timezone.now()).causes]


def test_every_kind_has_a_source_but_sign_ins():
    assert SOURCES.keys() == KINDS.keys() - {"device"}


def test_a_stopout_is_told_to_the_client_and_the_owner_and_so_is_its_end(business, alice, dora):
    business.active.delete()
    collect(timezone.now())
    from tests.integration.conftest import make_stopout

    now = timezone.now()
    stopout = make_stopout(business.hers, now, stopped_till=now + timedelta(hours=3), strategy=business.alpine)
    for _ in range(2):
        collect(timezone.now())
    assert titles(kind="stopout") == ["Dora's account is stopped on Alpine Trend"]
    notice = Notice.objects.get(kind="stopout")
    people = NoticePart.objects.filter(notice=notice).values_list("membership__user__email", flat=True)
    assert sorted(people) == ["alice@example.com", "dora@example.com"]
    type(stopout).objects.filter(pk=stopout.pk).update(ended_at=now)
    collect(timezone.now())
    notice.refresh_from_db()
    assert notice.ended_at is not None


def test_what_there_is_at_the_first_look_is_silent(business, alice):
    collect(timezone.now())
    assert titles(is_silent=True) != []
    assert titles(is_silent=False) == []
    assert not NoticePart.objects.exists()


@pytest.mark.parametrize(
    ("headroom", "count"), [(None, 0), ("0", 0), ("0.0001", 1), ("0.25", 1), ("0.250001", 0), ("1", 0)]
)
def test_a_limit_is_near_with_a_quarter_left(business, headroom, count):
    account = business.hers
    account.headroom = headroom and Decimal(headroom)
    account.limit_reason, account.limit_amount, account.limit_measured = "day-balance", Decimal(100), Decimal(80)
    account.save()
    assert len(found("limit", business.workspace)) == count
    assert len(SOURCES["limit"](business.workspace, timezone.now()).uncertain) == (headroom == "0")


@pytest.mark.parametrize(("minutes", "count"), [(59, 1), (61, 0)])
def test_failed_copies_of_an_account_are_one_cause(business, minutes, count):
    for number in range(3):
        failed_copy(business, number, ago=timedelta(minutes=minutes))
    failed_copy(business, 9, ago=timedelta(minutes=1), outcome="skipped")
    assert found("copies", business.workspace) == ["Copies of Dora's account fail"] * count


@pytest.mark.parametrize(("margin_s", "count"), [(-5, 0), (0, 1), (5, 1)])
def test_a_connection_is_one_cause_however_much_fails(business, margin_s, count):
    now = timezone.now()
    since = now - FAILING_FOR - timedelta(seconds=margin_s)
    for kind in (SyncKind.ACCOUNTS, SyncKind.POSITIONS):
        SyncState.objects.update_or_create(
            connection=business.connection,
            kind=kind,
            defaults={"failing_since": since, "error": "It does not answer.", "due_at": now},
        )
    assert found("connection", business.workspace, now) == ["Backend one does not sync"] * count
    business.connection.is_enabled = False
    business.connection.save()
    assert found("connection", business.workspace, now) == []


@pytest.mark.parametrize(("status", "causes"), [("CONNECTED", 0), ("DISCONNECTED_FROM_BROKER", 1), ("DISCONNECTED", 1)])
def test_a_terminal_that_is_away_is_a_cause_while_the_backend_confirms_it(business, status, causes):
    account = builders.broker_account(business.connection, name="Master", state="DEPLOYED", connection_status=status)
    seen = SOURCES["account"](business.workspace, timezone.now())
    assert (len(seen.causes), seen.uncertain) == (causes, set())
    SyncState.objects.create(
        connection=business.connection, kind="accounts", failing_since=timezone.now(), due_at=timezone.now()
    )
    seen = SOURCES["account"](business.workspace, timezone.now())
    assert (seen.causes, seen.uncertain) == ([], {f"account:{account.pk}"})


@pytest.mark.parametrize(("most", "is_whole"), [(1, False), (2, False), (3, True)])
def test_a_look_says_whether_it_saw_all_and_unconfirmed_accounts_take_no_place(business, monkeypatch, most, is_whole):
    monkeypatch.setattr(notice_sources, "MOST", most)
    away = {"state": "DEPLOYED", "connection_status": "DISCONNECTED"}
    stale = timezone.now() - timedelta(days=3)
    for number in range(3):
        builders.broker_account(business.connection, name=f"Unconfirmed {number}", **away, seen_at=stale)
    for number in range(2):
        builders.broker_account(business.connection, name=f"Away {number}", **away)
    seen = SOURCES["account"](business.workspace, timezone.now())
    assert (len(seen.causes), len(seen.uncertain), seen.is_whole) == (min(most, 2), 3, is_whole)


def test_the_books_are_told():
    firm = firm_with_statement(due=-1)
    assert len(found("overdue", firm.workspace)) == 1
    assert len(found("issued", firm.workspace, firm.statement.issued_at)) == 1
    assert found("issued", firm.workspace, firm.statement.issued_at + notice_sources.BACK) == []


def test_an_issued_statement_is_told_once_however_often_one_looks():
    firm = firm_with_statement(due=7)
    issued_at = firm.statement.issued_at
    for after in (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), notice_sources.BACK * 2):
        collect(issued_at + after)
    assert len(titles(kind="issued")) == 1


@pytest.mark.parametrize("when", ["before it is packed", "before it is sent"])
def test_a_statement_that_was_voided_before_the_digest_is_not_told(when):
    firm = firm_with_statement(due=7)
    owner = builders.member(firm.workspace, "Olga", "owner")
    now = firm.statement.issued_at + timedelta(minutes=1)
    collect(now)
    NoticeChoice.objects.create(membership=owner.memberships.get(), chosen={"issued": ["email"]})
    issued = NoticeCause(f"issued:{firm.statement.pk}", "Statement", now)
    Notice.objects.all().delete()
    take_up(firm.workspace, KINDS["issued"], [issued], now=now)
    if when == "before it is sent":
        pack_due(now)
    Statement.objects.filter(pk=firm.statement.pk).update(is_void=True)
    if when == "before it is packed":
        pack_due(now)
        assert NoticePart.objects.get().dropped == TAKEN_BACK
    else:
        assert why_unwanted(NoticeMessage.objects.get()) == TAKEN_BACK


@pytest.mark.parametrize(("came_late", "count"), [(True, 1), (False, 0)])
def test_copies_that_failed_while_nobody_looked_are_told(business, came_late, count):
    """The last look was four hours ago, or what the backend decided came four hours late."""
    now = timezone.now()
    until = now - timedelta(hours=4 if came_late else 2)
    NoticeStart.objects.create(
        workspace=business.workspace, began_at=until, known_until={str(business.connection.pk): until.isoformat()}
    )
    SyncState.objects.update_or_create(
        connection=business.connection, kind=SyncKind.DECISIONS, defaults={"complete_until": now, "due_at": now}
    )
    failed_copy(business, 1, ago=timedelta(hours=3))
    collect(now)
    assert len(titles(kind="copies")) == count
    collect(now + timedelta(seconds=20))
    assert Notice.objects.filter(kind="copies", ended_at=None).count() == 0  # looked at since: it is over


# --- Copies that differ -----------------------------------------------------------------------------------------------
@pytest.fixture
def copied(business):
    """A trade of the provider that is open, with a decision to copy it, and no copy."""
    now = timezone.now()
    place = {"workspace": business.workspace, "connection": business.connection, "symbol": "EURUSD", "side": "buy"}
    trade = OpenTrade.objects.create(
        **place, strategy_id=business.alpine.backend_id, signal_id="signal", state="open", missing=1, opened_at=now
    )
    failed_copy(business, 1, ago=timedelta(minutes=1), outcome="copied")
    Decision.objects.update(strategy_id=business.alpine.backend_id, source_strategy_id=business.alpine.backend_id)
    SyncState.objects.update_or_create(
        connection=business.connection, kind=SyncKind.POSITIONS, defaults={"due_at": now, "cursor": {}}
    )
    business.hers.stopouts.all().delete()
    return trade


def position(business, **fields) -> OpenPosition:
    now = timezone.now()
    place = {"workspace": business.workspace, "connection": business.connection, "symbol": "EURUSD", "side": "buy"}
    figures = {"lots": 1, "open_price": 1, "swap": 0, "commission": 0, "opened_at": now, "changed_at": now}
    ids = {"subscriber_id": business.hers.backend_id, "position_id": "p", "signal_id": "signal"}
    return OpenPosition.objects.create(
        **place, **figures, **ids | {"source_strategy_id": business.alpine.backend_id} | fields
    )


def differences(business) -> list[tuple[str, int, int]]:
    rows = drifting(business.workspace, timezone.now(), most=10)
    return [(row.name, row.missing, row.extra) for row in rows]


def test_a_copy_that_is_gone_while_the_provider_has_the_trade_is_drift(business, copied):
    assert differences(business) == [("Dora's account", 1, 0)]
    assert found("drift", business.workspace) == ["Copies of Dora's account differ from its providers' trades"]
    position(business)
    assert differences(business) == []


@pytest.mark.parametrize("why", ["never copied", "unsubscribed", "close-only", "stopped", "not read since"])
def test_what_has_another_reason_is_no_drift(business, copied, why):
    from tests.integration.conftest import make_stopout

    now = timezone.now()
    if why == "never copied":
        Decision.objects.update(outcome="skipped")
    elif why == "unsubscribed":
        business.hers.subscriptions.update(is_removed=True)
    elif why == "close-only":
        type(business.hers).objects.update(close_only="by-position")
    elif why == "stopped":
        make_stopout(business.hers, now, stopped_till=now + timedelta(hours=3))
    else:
        SyncState.objects.filter(kind=SyncKind.POSITIONS).update(cursor={BY_ACCOUNT: True})
    assert differences(business) == []
    if why == "not read since":
        PositionReading.objects.create(connection=business.connection, backend_id=business.hers.backend_id, read_at=now)
        assert len(differences(business)) == 1


def test_a_copy_of_a_trade_that_the_provider_closed_is_drift(business, copied):
    OpenTrade.objects.update(state="closed", missing=None)
    position(business)
    position(business, position_id="q")
    assert differences(business) == [("Dora's account", 0, 2)]
    (cause,) = SOURCES["drift"](business.workspace, timezone.now()).causes
    assert cause.text.startswith("Of its copies 2 are open that the provider has closed: EURUSD among them.")
    OpenTrade.objects.update(state="unknown")
    assert differences(business) == []


@pytest.mark.parametrize("state", ["open", "closed"])
def test_while_positions_are_not_heard_drift_neither_begins_nor_is_over(business, copied, state):
    OpenTrade.objects.update(state=state)
    if state == "closed":
        position(business)
    assert len(differences(business)) == 1
    SyncState.objects.filter(kind=SyncKind.POSITIONS).update(failing_since=timezone.now())
    seen = SOURCES["drift"](business.workspace, timezone.now())
    assert seen.causes == []
    assert f"drift:{business.hers.pk}" in seen.uncertain


def test_wrong_rows_of_one_firm_keep_nothing_from_others(business, monkeypatch, charlie):
    def broken(workspace, now):
        if workspace == business.workspace:
            raise ValueError("a row that cannot be")
        return notice_sources.NoticeLook([])

    monkeypatch.setitem(SOURCES, "stopout", broken)
    business.hers.headroom = Decimal("0.1")
    business.hers.save()
    collect(timezone.now())
    assert titles(kind="limit") == ["Dora's account is close to a limit"]
