"""Nothing is green beside a failure: every combination of what bears on an account, a subscription, a sync."""

from __future__ import annotations

import itertools
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from reporting.models import SyncState
from reporting.states import CONNECTION_STATES, SYNC_STATES, connection_state, sync_state
from strategies.states import STRATEGY_STATES, member_state, strategy_state
from subscribers.listings import STATES
from subscribers.models import Stopout, Subscriber, account_state
from subscribers.states import ACCOUNT_STATES, SUBSCRIPTION_STATES
from tests import builders

pytestmark = pytest.mark.django_db
NO_YES = (False, True)


def stop(account, strategy_id="", **more):
    now = timezone.now()
    fields = {"reason": "date-balance-difference", "stopped_at": now, "stopped_till": now + timedelta(hours=1), **more}
    return Stopout.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        subscriber=account,
        strategy_backend_id=strategy_id,
        **fields,
    )


def failing(connection, kind="accounts"):
    now = timezone.now()
    SyncState.objects.create(connection=connection, kind=kind, due_at=now, failing_since=now, last_success_at=now)


def test_every_combination_of_an_account(workspace):
    now = timezone.now()
    for number, facts in enumerate(itertools.product(NO_YES, repeat=6)):
        is_removed, is_ending, stopped, close_only, silent, fails = facts
        connection = builders.connection(workspace, name=f"C{number}")
        account = builders.subscriber(
            connection,
            is_removed=is_removed,
            close_only="by-position" if close_only else "",
            document={"closeOnRemovalMode": "close-gracefully-by-position"} if is_ending else {},
            measured_at=now - timedelta(hours=3) if silent else now,
        )
        if stopped:
            stop(account)
        if fails:
            failing(connection)
        strategy = builders.strategy(connection)
        subscription = builders.subscription(account, strategy, first_seen_at=builders.LONG_AGO)
        pill = Subscriber.objects.get(pk=account.pk).pill
        assert (pill.tone == "good") is not any((is_removed, stopped, close_only, silent, fails)), facts
        if stopped and not is_removed:
            assert pill.code == "stopped"
        own = subscription.pill
        assert (own.tone == "good") is (pill.tone == "good"), facts
        listed = Subscriber.objects.filter(pk=account.pk).annotate(code=account_state()).get().code
        assert listed == pill.code
        matching = [one.value for one in STATES if Subscriber.objects.filter(one.condition, pk=account.pk).exists()]
        assert matching == [pill.code], "the filter finds what the page says"


@pytest.mark.parametrize(
    ("strategy_id", "member", "code"),
    [("", None, "stopped"), ("own", None, "stopped"), ("own", "leaf", "stopped-in-part"), ("another", None, "copying")],
)
def test_whose_stopout_stops_a_subscription(workspace, strategy_id, member, code):
    connection = builders.connection(workspace)
    account = builders.subscriber(connection)
    subscription = builders.subscription(
        account, builders.strategy(connection, backend_id="own"), first_seen_at=builders.LONG_AGO
    )
    stop(account, strategy_id, document={"sourceStrategy": {"id": member}} if member else {})
    assert subscription.state == code
    assert account.pill.code == "stopped"


def test_a_stopout_that_ended_stops_nothing(workspace):
    account = builders.subscriber(builders.connection(workspace))
    now = timezone.now()
    stop(account, stopped_till=now - timedelta(seconds=1))
    stop(account, reason="day-balance-difference", ended_at=now)
    assert account.pill.code == "copying"


@pytest.mark.parametrize(
    "fields", [{"is_removed": True}, {"is_removed": True, "document": {"closeOnRemovalMode": "x"}}]
)
def test_a_strategy_that_goes_is_not_copied(workspace, fields):
    connection = builders.connection(workspace)
    strategy = builders.strategy(connection, **fields)
    subscription = builders.subscription(builders.subscriber(connection), strategy, first_seen_at=builders.LONG_AGO)
    assert subscription.state == "strategy-ending"
    assert strategy_state(strategy).tone != "good"
    assert member_state({}, strategy).tone != "good"
    assert member_state({}, None).tone != "good"


def test_a_strategy_of_a_connection_that_fails_is_not_confirmed(workspace):
    for fails, enabled in itertools.product(NO_YES, NO_YES):
        connection = builders.connection(workspace, is_enabled=enabled)
        if fails:
            failing(connection)
        pill = strategy_state(builders.strategy(connection))
        assert (pill.tone == "good") is (enabled and not fails)


def test_every_combination_of_syncs_of_a_connection():
    now = timezone.now()
    facts = list(itertools.product(NO_YES, NO_YES, NO_YES, (None, now, now - timedelta(minutes=4)), NO_YES))
    states = [
        SimpleNamespace(
            failing_since=now if fails else None,
            cursor={"is_offered": False} if missing else {},
            last_success_at=last,
            lease_until=now if leased else None,
            fails=fails or last != now,
        )
        for fails, missing, leased, last, _ in facts
    ]
    for state in states:
        pill = sync_state(state, now=now)
        assert pill.code in SYNC_STATES
        assert not (state.fails and pill.tone == "good")
        assert sync_state(state, is_enabled=False, now=now).tone == "quiet"
    for one, other in itertools.product(states, states):
        shown = [sync_state(each, now=now).tone for each in (one, other)]
        whole = connection_state(SimpleNamespace(is_enabled=True), [one, other], now)
        assert not (whole.tone == "good" and {"bad", "warn"} & set(shown))
        assert ("bad" in shown) is (whole.code == "failing")


def test_only_one_state_of_each_kind_is_green():
    for states in (ACCOUNT_STATES, SUBSCRIPTION_STATES, STRATEGY_STATES, SYNC_STATES, CONNECTION_STATES):
        assert [state.tone for state in states.values()].count("good") == 1
