"""Decisions, their trace, copies of the day, quality and a client's own, tried as everybody."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting.models import Decision, DecisionCount, Transaction
from strategies.models import Strategy
from subscribers.models import Subscriber
from tests import builders

COPIED = {"outcome": "copied", "reason": "copied", "level": "", "text": "Copied with 0.2 lots."}
RESIZED = {
    "outcome": "resized",
    "reason": "max-trade-volume",
    "level": "subscription",
    "limit_value": Decimal("0.2"),
    "text": "Volume cut from 0.50 to 0.20 lots: maxTradeVolume of the subscription.",
}
SKIPPED = {
    "outcome": "skipped",
    "reason": "stopped-out",
    "level": "subscriber",
    "final_lots": 0,
    "text": "No new trades: a risk limit of the subscriber has stopped trading.",
}


def decide(account, strategy, *, number: int = 0, signal: str = "signal-1", **fields) -> Decision:
    """One decision; the number makes it older."""
    lots = {f"{name}_lots": Decimal("0.5") for name in ("provider", "scaled", "multiplied")}
    lots |= {f"{name}_lots": Decimal("0.2") for name in ("limited", "rounded", "final")}
    ids = {"subscriber_id": account.backend_id, "strategy_id": strategy.backend_id, "signal_id": signal}
    return Decision.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        backend_id=f"{Decision.objects.count()}-0",
        time=timezone.now() - timedelta(minutes=number),
        source_strategy_id=strategy.backend_id,
        symbol="EURUSD",
        subscriber_symbol="EURUSD",
        side="buy",
        **{**ids, **lots, **COPIED, **fields},
    )


def test_accounts_are_found_by_name(sign_in, firm, alice, dora):
    page = sign_in(alice).get("/decisions/?subscriber=other acc").content.decode()
    assert "has stopped trading" in page
    assert "maxTradeVolume" not in page
    assert "No decision" in sign_in(dora).get("/me/decisions/?account=other").content.decode()


@pytest.fixture
def firm(workspace, alice, bob, dora):
    """Dora's trade was resized, another account's skipped; the first is measured."""
    connection = builders.connection(workspace, name="Backend one")
    strategy = builders.strategy(connection, name="Alpine Trend")
    hers = builders.subscriber(connection, access=dora, name="Dora's account")
    other = builders.subscriber(connection, name="Other account")
    first = decide(hers, strategy, **RESIZED)
    decide(other, strategy, **SKIPPED)
    Transaction.objects.create(
        workspace=workspace,
        connection=connection,
        backend_id="1:open",
        subscriber_id=hers.backend_id,
        strategy_id=strategy.backend_id,
        time=first.time + timedelta(seconds=1),
        type="DEAL_TYPE_BUY",
        symbol="EURUSD",
        position_id="signal-1",
        volume_lots=Decimal("0.2"),
        price=Decimal("1.1"),
        profit=0,
        swap=0,
        improvement=0,
        provider_commission=0,
        platform_commission=0,
        latency_ms=Decimal(123),
        slippage_bp=Decimal("-0.25"),
    )
    for outcome, reason, count in (("copied", "copied", 7), ("skipped", "stopped-out", 3)):
        DecisionCount.objects.create(
            workspace=workspace,
            connection=connection,
            subscriber_id=hers.backend_id,
            strategy_id=strategy.backend_id,
            day=timezone.now().date(),
            outcome=outcome,
            reason=reason,
            decisions=count,
        )
    return connection


@pytest.fixture
def pages(firm) -> dict[str, str]:
    """Every address of staff."""
    account = firm.subscribers.get(name="Dora's account")
    return {
        "list": "/decisions/",
        "file": "/decisions/?format=csv",
        "trace": f"/decisions/{Decision.objects.get(outcome='resized').pk}/",
        "strategy": f"/strategies/{firm.strategies.get().pk}/quality/",
        "subscriber": f"/subscribers/{account.pk}/quality/",
    }


def text_of(answer) -> str:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return body.decode()


@pytest.mark.parametrize("name", ["list", "file", "trace", "strategy", "subscriber"])
def test_pages_of_staff_are_for_staff(name, pages, sign_in, alice, bob, charlie, dora):
    path = pages[name]
    assert sign_in(alice).get(path).status_code == 200
    assert sign_in(bob).get(path).status_code == 200
    assert sign_in(dora).get(path).status_code == 404
    assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")
    assert sign_in(None).get(path, headers={"HX-Request": "true"}).status_code == 401
    stranger = sign_in(charlie).get(path)
    assert stranger.status_code == (200 if name in ("list", "file") else 404)
    assert not re.search("Alpine|Dora|Volume cut|EURUSD|signal-1", text_of(stranger))


@pytest.mark.parametrize("path", ["/me/decisions/", "/me/decisions/?format=csv"])
def test_a_client_sees_their_own_decisions_and_nobody_else_any(path, firm, sign_in, alice, bob, charlie, dora):
    hers = text_of(sign_in(dora).get(path))
    assert "Dora" in hers
    assert not re.search("Other account|stopped", hers)
    assert "maxTradeVolume" not in hers
    for person in (alice, bob, charlie):
        assert sign_in(person).get(path).status_code == 404
    assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")


def test_a_client_reads_plain_sentences_and_may_filter_by_account(firm, sign_in, dora):
    page = text_of(sign_in(dora).get("/me/decisions/"))
    assert (
        "EURUSD was bought with 0.20 instead of 0.50 lots because the largest trade of your terms is 0.20 lots." in page
    )
    assert "No decision fits" in text_of(sign_in(dora).get("/me/decisions/?account=somebody"))
    other = firm.subscribers.get(name="Other account").backend_id
    assert "No decision fits" in text_of(sign_in(dora).get(f"/me/decisions/?account={other}"))


def test_a_clients_file_tells_nothing_of_the_providers_account(firm, sign_in, dora):
    heading = text_of(sign_in(dora).get("/me/decisions/?format=csv")).splitlines()[0].split(",")
    assert not {"text", "limit_value", "provider_lots", "scaled_lots", "source_strategy_id"} & set(heading)


def test_staff_read_words_and_percent_and_find_the_settings_name_in_the_title(firm, sign_in, alice, bob, dora, charlie):
    odd = {"multiplied_lots": Decimal("12.3456789"), "limit_value": Decimal("0.02"), "outcome": "resized"}
    told = {"reason": "max-trade-risk", "level": "strategy", "text": "maxTradeRisk 0.02 of the strategy"}
    subscriber = Subscriber.objects.get(name="Other account")
    decide(subscriber, Strategy.objects.get(name="Alpine Trend"), signal="odd", **odd, **told)
    for person in (alice, bob):
        page = text_of(sign_in(person).get("/decisions/?signal=odd"))
        assert "Volume cut from 12.35 to 0.20 lots: the strategy risks at most 2 % per trade." in page
        assert 'title="Setting maxTradeRisk"' in page
        assert "maxTradeRisk 0.02" not in page
    for person in (dora, charlie):
        assert "12.35" not in text_of(sign_in(person).get("/decisions/?signal=odd"))
    assert sign_in(None).get("/decisions/?signal=odd").status_code == 302


def test_a_reason_that_is_not_known_is_told_in_the_backends_words(firm, sign_in, alice):
    decide(Subscriber.objects.first(), Strategy.objects.first(), signal="new", reason="moon-phase", text="Full moon.")
    assert "Full moon." in text_of(sign_in(alice).get("/decisions/?signal=new"))


@pytest.mark.parametrize(
    ("query", "found", "hidden"),
    [
        ("outcome=skipped", "Other account", "Dora"),
        ("reason=max-trade-volume", "Dora", "Other account"),
        ("signal=signal-1&outcome=resized", "Dora", "Other account"),
        ("signal=signal-2", "No decision fits", "Dora"),
        ("symbol=GBPUSD", "No decision fits", "Dora"),
    ],
)
def test_filters_narrow_the_list_and_the_file(query, found, hidden, firm, sign_in, alice):
    client = sign_in(alice)
    page = text_of(client.get(f"/decisions/?{query}"))
    assert found in page
    assert hidden not in page
    assert hidden not in text_of(client.get(f"/decisions/?{query}&format=csv"))


def test_the_trace_shows_chain_rule_deal_and_the_other_routes(pages, sign_in, alice):
    part = text_of(sign_in(alice).get(pages["trace"], headers={"HX-Request": "true"}))
    assert "<html" not in part
    assert "Volume cut from 0.50 to 0.20 lots" in part
    assert "the largest trade of the subscription." in part
    assert "Max trade volume of the subscription: 0.2 lots" in part
    assert 'setting <span class="code">maxTradeVolume</span>' in part
    assert "123\u202fms" in part
    assert "0.25 bp worse than the provider" in part
    assert "Other account" in part
    assert "<html" in text_of(sign_in(alice).get(pages["trace"]))


def test_the_overview_tells_how_todays_copies_ended(firm, sign_in, alice):
    page = text_of(sign_in(alice).get("/"))
    assert "Copies today" in page
    assert re.search(r"reason=stopped-out[^>]*>Stopped out</a><span class=\"num\">3<", page)


def test_quality_is_told_with_its_method(pages, sign_in, alice):
    for name in ("strategy", "subscriber"):
        page = text_of(sign_in(alice).get(pages[name]))
        assert "1 measured deal" in page
        assert "123\u202fms" in page
        assert "0.25" in page
        assert "interpolated between ranks" in page


@pytest.mark.parametrize("path", ["/decisions/?outcome=x", "/decisions/?reason=x", "/decisions/?sort=text"])
def test_a_wrong_parameter_is_a_400(path, firm, sign_in, alice):
    assert sign_in(alice).get(path).status_code == 400


@pytest.mark.parametrize(("name", "queries"), [("list", 8), ("trace", 8), ("strategy", 7)])
def test_pages_cost_the_same_queries_however_many_rows(
    name, queries, pages, firm, sign_in, alice, django_assert_max_num_queries
):
    strategy = firm.strategies.get()
    for number in range(60):
        decide(builders.subscriber(firm), strategy, number=number)
    client = sign_in(alice)
    client.get(pages[name])
    with django_assert_max_num_queries(queries):
        assert client.get(pages[name]).status_code == 200


def test_pages_go_on_where_the_last_one_ended(firm, sign_in, alice):
    strategy, account = firm.strategies.get(), firm.subscribers.get(name="Other account")
    for number in range(60):
        decide(account, strategy, number=number + 10, signal=f"older-{number}")
    client = sign_in(alice)
    first = text_of(client.get("/decisions/"))
    following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
    second = text_of(client.get(following))
    told = [re.findall(r"/decisions/(\d+)/\" hx-trigger", page) for page in (first, second)]
    assert len(told[0]) == 50
    assert len({*told[0], *told[1]}) == 62
