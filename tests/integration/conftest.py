"""A small business that pages of strategies, subscribers and commissions are tried on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
import time_machine
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils import timezone

from reporting.commission.services import accrue_workspace
from reporting.models import DailyResult, EquityPoint, LogRecord, Transaction
from subscribers.models import Stopout
from tests import builders
from users.once import FIELD, new_token

DAY_LIMIT = {"type": "day", "applyTo": "balance-difference", "maxRelativeRisk": 0.1, "closePositions": True}


@pytest.fixture(autouse=True)
def forms_carry_their_number():
    """Posts to addresses that act once carry a fresh number, as forms of pages do; a test may say which ("": none)."""
    post = Client.post

    def post_as_a_form(client, path, data=None, *args, **options):
        is_form = data is None or (isinstance(data, dict) and FIELD not in data)
        if is_form and "content_type" not in options and acts_once(path):
            data = {**(data or {}), FIELD: new_token()}
        return post(client, path, data, *args, **options)

    with pytest.MonkeyPatch.context() as patched:  # of its own: tests undo theirs in the middle
        patched.setattr(Client, "post", post_as_a_form)
        yield


@pytest.fixture
def one_moment():
    """The clock stands still: what is counted by the minute or the hour is not counted anew in the middle of a test."""
    with time_machine.travel(timezone.now(), tick=False):
        yield


def acts_once(path: str) -> bool:
    """Whether the view at an address does what a form asks once."""
    try:
        return getattr(resolve(path.partition("?")[0]).func, "acts_once", False)
    except Resolver404:
        return False


@pytest.fixture
def business(workspace, alice, bob, dora):
    """Two strategies and a portfolio, two accounts (one Dora's) that copied a few trades, a stopout each way."""
    now = timezone.now()
    connection = builders.connection(workspace, name="Backend one")
    scheme = {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}
    document = {"name": "Alpine Trend", "commissionScheme": scheme, "maxTradeRisk": 0.02, "riskLimits": [DAY_LIMIT]}
    alpine = builders.strategy(
        connection, name="Alpine Trend", backend_id="alpine", scheme="amount-won", document=document
    )
    members = {"members": [{"strategyId": "alpine", "multiplier": 0.5, "allowedSides": ["buy"]}]}
    portfolio = builders.strategy(
        connection, name="Balanced", backend_id="balanced", kind="portfolio", document=members
    )
    money = {"equity": Decimal(1100), "balance": Decimal(1000), "measured_at": now, "leverage": 100}
    hers = builders.subscriber(connection, access=dora, name="Dora's account", subscription_count=1, **money)
    other = builders.subscriber(connection, name="Other account", currency="EUR", subscription_count=1, **money)
    for account, changes in ((hers, {"multiplier": 2, "maxTradeVolume": 0.5}), (other, {})):
        builders.subscription(account, alpine, multiplier=2, document=changes, first_seen_at=builders.LONG_AGO)
        for days in range(4):
            EquityPoint.objects.create(
                connection=connection,
                account_id=account.backend_id,
                time=now - timedelta(days=days),
                equity=1100 - 10 * days,
                balance=1000,
            )
        make_deal(account, alpine, f"{account.pk}:close", now - timedelta(seconds=1))
    LogRecord.objects.create(
        workspace=workspace,
        connection=connection,
        time=now,
        level="INFO",
        message="Copied EURUSD",
        digest="1",
        strategy_id="alpine",
        subscriber_id=hers.backend_id,
    )
    active = make_stopout(hers, now, stopped_till=now + timedelta(hours=3), strategy=alpine)
    past = make_stopout(other, now - timedelta(days=9), stopped_till=now - timedelta(days=8))
    accrue_workspace(workspace.pk, now)
    return SimpleNamespace(
        workspace=workspace,
        connection=connection,
        alpine=alpine,
        portfolio=portfolio,
        hers=hers,
        other=other,
        active=active,
        past=past,
        now=now,
    )


def make_deal(account, strategy, backend_id, at, profit=Decimal("50.05")):
    """A closed trade with a gain, and the day's sums."""
    given = {"workspace": account.workspace, "connection": account.connection, "strategy_id": strategy.backend_id}
    given |= {"subscriber_id": account.backend_id}
    Transaction.objects.create(
        **given,
        backend_id=backend_id,
        time=at,
        type="DEAL_TYPE_SELL",
        symbol="EURUSD",
        position_id="p1",
        volume_lots=Decimal("0.1"),
        price=Decimal("1.1"),
        amount=Decimal(11000),
        profit=profit,
        swap=0,
        commission=0,
        improvement=0,
        provider_commission=Decimal("10.01"),
        platform_commission=0,
    )
    DailyResult.objects.create(
        **given, day=at.date(), deals=1, volume_lots=Decimal("0.1"), profit=profit, provider_commission=Decimal("10.01")
    )


def make_stopout(account, at, *, stopped_till, strategy=None):
    """A limit that fired."""
    return Stopout.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        subscriber=account,
        strategy=strategy,
        strategy_backend_id=strategy.backend_id if strategy else "",
        reason="day-balance-difference",
        description="It lost 10.2 % of 10 % allowed.",
        stopped_at=at,
        stopped_till=stopped_till,
    )


@pytest.fixture
def text_of():
    """A function that reads an answer, streamed or not; without the mark that files begin with."""

    def read(response) -> str:
        body = b"".join(response.streaming_content) if response.streaming else response.content
        return body.decode("utf-8-sig")

    return read


@pytest.fixture
def is_for_staff_only(sign_in, alice, bob, dora, charlie, text_of):
    """A function that tries an address as everybody: staff see it, nobody else learns that it exists."""

    def check(path: str, *, stranger: int = 404) -> str:
        answer = sign_in(alice).get(path)
        assert answer.status_code == 200, path
        page = text_of(answer)
        assert sign_in(bob).get(path).status_code == 200
        assert sign_in(dora).get(path).status_code == 404
        away = sign_in(charlie).get(path)
        assert away.status_code == stranger
        assert "Alpine" not in text_of(away)
        assert "account-" not in text_of(away)
        assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")
        part = sign_in(None).get(path, headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["HX-Redirect"]) == (401, "/accounts/login/")
        return page

    return check
