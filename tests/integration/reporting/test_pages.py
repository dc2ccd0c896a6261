"""Overview, transactions, log, sync and search, tried as owner, viewer, stranger, subscriber and nobody."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from reporting.models import DailyResult, EquityPoint, LogRecord, QuarantinedPage, SyncKind, SyncState, Transaction
from subscribers.models import Stopout, Subscriber
from tests import builders

STAFF_PAGES = ["/", "/log/", "/sync/", "/sync/freshness/", "/search/?q=a", "/overview/equity.json"]


@pytest.fixture
def firm(workspace, alice, bob, dora):
    """A firm with two accounts, one of them Dora's, and a little of everything."""
    now = timezone.now()
    connection = builders.connection(workspace, name="Backend one")
    strategy = builders.strategy(connection, name="Alpine Trend")
    hers = builders.subscriber(connection, access=dora, name="Dora's account", equity=90, balance=100, measured_at=now)
    money = {"equity": 70, "balance": 50, "currency": "EUR", "measured_at": None}
    other = builders.subscriber(connection, name="Other account", **money)
    for number, account in enumerate((hers, other)):
        deal(account, strategy, profit=Decimal(number * 10 - 5), time=now - timedelta(minutes=number))
        DailyResult.objects.create(
            workspace=workspace,
            connection=connection,
            subscriber_id=account.backend_id,
            strategy_id=strategy.backend_id,
            day=now.date(),
            deals=1,
            profit=Decimal(7),
        )
        for day in range(3):
            EquityPoint.objects.create(
                connection=connection,
                account_id=account.backend_id,
                time=now - timedelta(days=day),
                equity=100 - day,
                balance=100,
            )
    LogRecord.objects.create(
        workspace=workspace, connection=connection, time=now, level="ERROR", message="No margin left", digest="1"
    )
    Stopout.objects.create(
        workspace=workspace,
        connection=connection,
        subscriber=hers,
        reason="day-balance-difference",
        stopped_at=now,
        stopped_till=now + timedelta(hours=1),
    )
    SyncState.objects.create(
        connection=connection,
        kind=SyncKind.LOGS,
        due_at=now,
        failing_since=now - timedelta(minutes=9),
        failures=3,
        error="The backend answered 500.",
    )
    return connection


def deal(account, strategy, **fields):
    given = {"type": "DEAL_TYPE_BUY", "symbol": "EURUSD", "swap": 0, "improvement": 0, "latency_ms": 50}
    given |= {"provider_commission": 0, "platform_commission": 0, "volume_lots": Decimal("0.1")}
    return Transaction.objects.create(
        workspace=account.workspace,
        connection=account.connection,
        backend_id=f"deal-{Transaction.objects.count()}",
        subscriber_id=account.backend_id,
        strategy_id=strategy.backend_id,
        **{**given, **fields},
    )


def text_of(response):
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return body.decode()


@pytest.mark.parametrize("path", STAFF_PAGES)
def test_pages_of_staff_are_for_staff(path, sign_in, firm, alice, bob, dora):
    assert sign_in(alice).get(path).status_code == 200
    assert sign_in(bob).get(path).status_code == 200
    answer = sign_in(dora).get(path)
    assert answer.status_code == 404 or (path == "/" and answer.status_code == 302)
    assert sign_in(None).get(path).headers["Location"].startswith("/accounts/login/")
    part = sign_in(None).get(path, headers={"HX-Request": "true"})
    assert part.status_code == 401
    assert "HX-Redirect" in part.headers


@pytest.mark.parametrize("path", [*STAFF_PAGES, "/transactions/", "/transactions/?format=csv", "/log/?format=csv"])
def test_a_stranger_finds_nothing_of_the_firm(path, sign_in, firm, charlie):
    page = text_of(sign_in(charlie).get(path))
    assert not re.search("Alpine|account-0|Dora|Backend one|No margin|EURUSD", page)


def test_a_subscriber_sees_the_deals_of_their_own_account_only(sign_in, firm, alice, dora):
    assert text_of(sign_in(alice).get("/transactions/")).count("EURUSD") == 2
    for path in ("/transactions/", "/transactions/?format=csv"):
        hers = text_of(sign_in(dora).get(path))
        assert "Dora&#39;s account" in hers or "Dora's account" in hers
        assert "Other account" not in hers


def test_the_overview_answers_whether_all_is_well(sign_in, firm, alice):
    page = text_of(sign_in(alice).get("/"))
    assert "The closed loss within a day reached its limit" in page
    assert "Backend one. The backend answered 500," in page
    assert "No margin left" in page
    assert "1 account</a> not measured" in page
    assert "+7.00" in page
    assert "50\u202fms" in page


@pytest.mark.parametrize(
    ("reporting", "of_accounts", "missing"),
    [
        ("XYZ", ("USD", "EUR"), "XYZ"),
        ("USD", ("USD", "USC"), "USC"),
        ("XYZ", ("XYZ", "XYZ"), ""),  # nothing is to be converted
        ("USD", ("USD", "EUR"), ""),
        ("XYZ", ("", ""), ""),  # nothing was measured yet
    ],
)
def test_the_overview_says_why_nothing_is_added_up(reporting, of_accounts, missing, sign_in, firm, workspace, bob):
    workspace.reporting_currency = reporting
    workspace.save()
    for account, currency in zip(Subscriber.objects.order_by("pk"), of_accounts, strict=True):
        account.currency = currency
        account.save()
    for headers in ({}, {"HX-Request": "true"}):
        page = " ".join(re.sub("<[^>]+>", "", text_of(sign_in(bob).get("/", headers=headers))).split())
        assert ("Equity under management" in page) is (not missing and any(of_accounts))
        assert (f"publishes no reference rate for {missing or reporting}." in page) is bool(missing)
        assert (f"So nothing is added up in {reporting}; each currency is below." in page) is bool(missing)


def test_the_equity_curve_carries_every_account_forward(sign_in, firm, alice):
    times, equities, drawdown, moved = sign_in(alice).get("/overview/equity.json?range=1M&currency=USD").json()
    assert len(times) == len(equities) == len(moved) == 3
    assert drawdown is None
    assert moved == [0, 0, 0]
    assert equities[-1] == 100.0
    table = text_of(sign_in(alice).get("/overview/equity.json?range=1M&currency=USD&as=table"))
    assert "100.00" in table


def test_the_equity_curve_says_what_was_paid_in_or_out(sign_in, firm, alice, bob, dora, charlie):
    """Accounts whose backend tells net deposits, accounts with balance transactions only, and one that is opened."""
    start = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    told, untold, opened = (builders.subscriber(firm, name=f"Account {n}", currency="CHF") for n in range(3))
    for account, hour, equity, deposits in (
        (told, 0, 1000, 1000),
        (told, 2, 1510, 1500),
        (told, 3, 1400, 1400),
        (untold, 0, 200, None),
        (untold, 3, 150, None),
        (opened, 2, 70, 70),
    ):
        EquityPoint.objects.create(
            connection=firm,
            account_id=account.backend_id,
            time=start + timedelta(hours=hour),
            balance=equity,
            equity=equity,
            net_deposits=deposits,
        )
    strategy = firm.strategies.first()
    for account, hour, amount in ((untold, 3, -50), (untold, -1, 200), (told, 2, 500)):
        paid = deal(account, strategy, profit=amount, time=start + timedelta(hours=hour))
        Transaction.objects.filter(pk=paid.pk).update(type="DEAL_TYPE_BALANCE")
    path = "/overview/equity.json?range=1M&currency=CHF"
    _, equity, _, moved = sign_in(alice).get(path).json()
    assert equity == [1200, 1780, 1620]
    assert moved == [0, 570, -150], "what the curve begins with is no flow, and nothing counts twice"
    table = text_of(sign_in(bob).get(f"{path}&as=table"))
    assert "Paid in or out" in table
    assert "−150.00" in table
    assert sign_in(dora).get(path).status_code == 404
    assert sign_in(charlie).get(path).json()[0] == []
    assert sign_in(None).get(path).status_code == 302


@pytest.mark.parametrize(("currency", "shown"), [("EUR", "−80.08 EUR"), ("JPY", "−80 JPY"), ("", "net result −80.08:")])
def test_a_result_in_the_log_names_the_accounts_currency(currency, shown, sign_in, firm, alice):
    Subscriber.objects.update(currency=currency)
    account = Subscriber.objects.first()
    LogRecord.objects.update(message="Closed, net result -80.08: by hand.", subscriber_id=account.backend_id)
    for path in ("/log/", f"/subscribers/{account.pk}/log/"):
        assert shown in text_of(sign_in(alice).get(path))
    (line,) = csv.DictReader(io.StringIO(text_of(sign_in(alice).get("/log/?format=csv"))))
    assert (line["message"], line["currency"]) == ("Closed, net result -80.08: by hand.", currency)


@pytest.mark.parametrize("path", ["/?range=2W", "/?currency=EURO", "/transactions/?type=x", "/log/?sort=message"])
def test_a_wrong_parameter_is_a_400_with_a_sentence(path, sign_in, firm, alice):
    answer = sign_in(alice).get(path)
    assert answer.status_code == 400
    assert "This address does not work" in text_of(answer)
    part = sign_in(alice).get(path, headers={"HX-Request": "true"})
    assert part.status_code == 400
    assert "<html" not in text_of(part)


def test_filters_of_transactions_reach_the_page_and_the_file(sign_in, firm, alice):
    client = sign_in(alice)
    assert "Other account" not in text_of(client.get("/transactions/?outcome=loss"))
    assert "Other account" not in text_of(client.get("/transactions/?outcome=loss&format=csv"))
    assert "No transaction fits" in text_of(client.get("/transactions/?symbol=GBPUSD"))


def test_the_file_names_the_currency_and_the_answer_is_an_attachment(sign_in, firm, alice):
    answer = sign_in(alice).get("/transactions/?format=csv")
    assert re.fullmatch(r'attachment; filename="transactions-\d{4}-\d\d-\d\d.csv"', answer["Content-Disposition"])
    assert "currency" in text_of(answer).splitlines()[0].split(",")


def test_lists_answer_with_a_part_and_say_when_there_is_something_new(sign_in, firm, alice):
    client = sign_in(alice)
    part = text_of(client.get("/transactions/", headers={"HX-Request": "true"}))
    assert "<html" not in part
    href = re.search(r'hx-get="([^"]+newer=[^"]+)"', part)[1].replace("&amp;", "&")
    assert client.get(href, headers={"HX-Request": "true"}).status_code == 204
    account = firm.subscribers.first()
    deal(account, firm.strategies.first(), profit=1, time=timezone.now())
    assert "1 new, show" in text_of(client.get(href, headers={"HX-Request": "true"}))


def test_totals_are_told_per_currency_where_the_daily_results_know_them(sign_in, firm, alice, dora):
    page = text_of(sign_in(alice).get("/transactions/"))
    assert 'hx-get="/transactions/totals/"' in page
    assert "/transactions/totals/" not in text_of(sign_in(alice).get("/transactions/?symbol=NOTHING"))
    today = timezone.now().date().isoformat()
    everything = text_of(sign_in(alice).get(f"/transactions/totals/?from={today}", headers={"HX-Request": "true"}))
    assert "<dt>USD</dt>" in everything
    assert "<dt>EUR</dt>" in everything
    assert everything.count("+7.00") == 2
    assert "<dt>EUR</dt>" not in text_of(sign_in(dora).get("/transactions/totals/"))


@pytest.mark.parametrize(
    ("query", "dollars"),
    [
        ("symbol=EURUSD", ("+2.50", 3)),
        ("symbol=GBPUSD", ("+100.00", 1)),
        ("type=DEAL_TYPE_SELL", ("+100.00", 1)),
        ("outcome=gain", ("+107.50", 2)),
        ("outcome=loss", ("\u22125.00", 2)),
        ("type=DEAL_TYPE_BALANCE", ("0.00", 1)),
        ("symbol=EURUSD&outcome=gain&subscriber=dora", ("+7.50", 1)),
    ],
)
def test_totals_are_exact_for_what_is_filtered(query, dollars, sign_in, firm, alice, bob, charlie):
    account, strategy, now = firm.subscribers.get(name="Dora's account"), firm.strategies.first(), timezone.now()
    deal(account, strategy, profit=Decimal("8.5"), swap=-1, commission=Decimal(0), time=now)
    deal(account, strategy, profit=0, time=now)
    deal(account, strategy, profit=100, symbol="GBPUSD", type="DEAL_TYPE_SELL", time=now - timedelta(days=300))
    deal(account, strategy, profit=-700, symbol="", type="DEAL_TYPE_BALANCE", volume_lots=None, time=now)
    for person in (alice, bob):
        page = text_of(sign_in(person).get(f"/transactions/totals/?{query}", headers={"HX-Request": "true"}))
        [own] = re.findall(r"<dt>USD</dt>.*?</dl>", page, re.DOTALL)
        net, deals = dollars
        assert re.search(rf"Net</span> <[^>]*>{re.escape(net)}<", own)
        assert f"Deals</span> {deals}<" in own
        assert ("Paid in or out" in own) == ("BALANCE" in query or query == "outcome=loss")
        assert "\u2212700.00" in own or "Paid" not in own
    assert "<dt>" not in text_of(sign_in(charlie).get(f"/transactions/totals/?{query}"))
    assert sign_in(None).get(f"/transactions/totals/?{query}").status_code == 302


def test_a_clients_totals_are_of_their_own_deals(sign_in, firm, dora):
    page = text_of(sign_in(dora).get("/transactions/totals/?symbol=EURUSD"))
    assert ("<dt>USD</dt>" in page, "<dt>EUR</dt>" in page) == (True, False)


def test_totals_of_days_of_another_zone_are_added_up_deal_by_deal(sign_in, firm, alice):
    account, strategy = firm.subscribers.get(name="Dora's account"), firm.strategies.first()
    deal(account, strategy, profit=3, time=datetime(2026, 3, 4, 11, 30, tzinfo=UTC))  # the 5th in Auckland
    deal(account, strategy, profit=4, time=datetime(2026, 3, 4, 10, 30, tzinfo=UTC))
    client = sign_in(alice)
    with timezone.override("Pacific/Auckland"):
        page = text_of(client.get("/transactions/totals/?from=2026-03-05&to=2026-03-05"))
    assert "+3.00" in page
    assert "Deals</span> 1<" in page


@pytest.mark.parametrize(("name", "most"), [("MOST_DEALS", 1), ("MOST_COST", 0), ("MOST_DEALS", 0)])
def test_totals_that_would_take_too_much_ask_for_a_narrower_filter(name, most, sign_in, firm, alice, monkeypatch):
    monkeypatch.setattr(f"reporting.totals.{name}", most)
    assert "choose a shorter period" in text_of(sign_in(alice).get("/transactions/totals/?symbol=EURUSD"))


def test_totals_cost_the_same_queries_however_many_deals(sign_in, firm, alice, django_assert_num_queries):
    client = sign_in(alice)
    with django_assert_num_queries(9):
        client.get("/transactions/totals/?symbol=EURUSD", headers={"HX-Request": "true"})


def test_accounts_are_found_by_name_and_by_id(sign_in, firm, alice, dora):
    client, account = sign_in(alice), firm.subscribers.get(name="Other account")
    for typed in ("other acc", account.backend_id):
        assert text_of(client.get(f"/transactions/?subscriber={typed}&format=csv")).count("EURUSD") == 1
        totals = text_of(client.get(f"/transactions/totals/?subscriber={typed}"))
        assert ("<dt>EUR</dt>" in totals, "<dt>USD</dt>" in totals) == (True, False)
    assert text_of(client.get("/transactions/?subscriber=account&format=csv")).count("EURUSD") == 2
    assert "No transaction fits" in text_of(client.get("/transactions/?subscriber=nobody"))
    assert client.get("/log/?subscriber=other").status_code == 200
    assert text_of(sign_in(dora).get("/transactions/?subscriber=other&format=csv")).count("EURUSD") == 0


@pytest.mark.parametrize(("most", "is_answered"), [(1, False), (2, True), (3, True)])
def test_a_part_of_a_name_that_too_many_have_asks_for_more_of_it(sign_in, firm, alice, monkeypatch, most, is_answered):
    monkeypatch.setattr("subscribers.listings.MOST_IDS", most)
    for path in ("/transactions/?subscriber=account", "/decisions/?subscriber=account", "/log/?subscriber=account"):
        answer = sign_in(alice).get(path)
        assert answer.status_code == (200 if is_answered else 400)
        assert ("type more of the name" in text_of(answer)) is not is_answered


def test_totals_that_would_take_long_say_so(sign_in, firm, alice, monkeypatch):
    monkeypatch.setattr("reporting.totals.MOST_ROWS", 0)
    assert "Too many days" in text_of(sign_in(alice).get("/transactions/totals/"))


def test_the_sync_page_tells_what_fails_and_what_could_not_be_read(sign_in, firm, alice):
    now = timezone.now()
    QuarantinedPage.objects.create(
        connection=firm, kind="logs", request="GET /x", reason="not JSON", first_seen_at=now, last_seen_at=now
    )
    page = text_of(sign_in(alice).get("/sync/"))
    assert "Failing" in page
    assert "not JSON" in page
    assert "Sync failing" in page


def test_the_sync_page_tells_how_far_behind_each_kind_is(sign_in, firm, alice):
    assert "Never complete yet" in text_of(sign_in(alice).get("/sync/"))
    SyncState.objects.update(complete_until=timezone.now() - timedelta(minutes=7, seconds=5))
    assert ">7\u202fmin</time>" in text_of(sign_in(alice).get("/sync/"))


def test_every_page_of_the_staff_says_that_a_backends_clock_is_wrong(sign_in, firm, alice, bob, charlie, dora):
    state, _ = SyncState.objects.get_or_create(
        connection=firm, kind=SyncKind.ACCOUNTS, defaults={"due_at": timezone.now()}
    )
    state.cursor = {"clock": "The backend's clock is 300 seconds behind."}
    state.save()
    for person in (alice, bob):
        assert "300 seconds behind" in text_of(sign_in(person).get("/sync/"))
        assert "300 seconds behind" in text_of(sign_in(person).get("/"))
    for person in (charlie, dora):
        assert "300 seconds behind" not in text_of(sign_in(person).get("/", follow=True))
    SyncState.objects.filter(pk=state.pk).update(cursor={"clock": ""})
    assert "300 seconds behind" not in text_of(sign_in(alice).get("/"))


def freshness_of(client) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text_of(client.get("/sync/freshness/"))).split())


def test_the_top_bar_names_the_kind_that_is_late_or_fails(sign_in, firm, alice, bob, dora, charlie):
    now = timezone.now()
    SyncState.objects.all().delete()
    for kind in SyncKind:
        SyncState.objects.create(connection=firm, kind=kind, due_at=now, last_success_at=now - timedelta(seconds=20))
    states = SyncState.objects.all()
    client = sign_in(alice)
    assert "Synced" in freshness_of(client)
    states.filter(kind="decisions").update(last_success_at=now - timedelta(minutes=50), cursor={"is_offered": False})
    assert "Synced" in freshness_of(client), "what the backend does not offer is not late"
    states.filter(kind="logs").update(last_success_at=now - timedelta(minutes=7))
    assert "Log last synced 7 min ago" in freshness_of(client)
    assert "Oldest is log." in text_of(client.get("/sync/freshness/"))
    states.filter(kind__in=["equity", "accounts"]).update(last_success_at=now - timedelta(minutes=4))
    assert "Log and 2 more last synced" in freshness_of(sign_in(bob))
    states.filter(kind="stopouts").update(failing_since=now)
    assert "Sync failing: stopouts" in freshness_of(client)
    assert sign_in(dora).get("/sync/freshness/").status_code == 404
    assert "Log" not in freshness_of(sign_in(charlie))
    assert sign_in(None).get("/sync/freshness/").status_code == 302


def test_search_finds_by_name_and_id_and_escapes_what_was_typed(sign_in, firm, alice):
    page = text_of(sign_in(alice).get("/search/?q=alpine"))
    assert "Alpine Trend" in page
    page = text_of(sign_in(alice).get("/search/?q=<script>alert(1)</script>"))
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    ("path", "queries"), [("/", 21), ("/transactions/", 9), ("/log/", 9), ("/sync/", 8), ("/search/?q=a", 7)]
)
def test_pages_cost_the_same_queries_however_many_rows_there_are(
    path, queries, sign_in, firm, alice, django_assert_max_num_queries
):
    strategy = firm.strategies.first()
    for number in range(20):
        account = builders.subscriber(firm, name=f"Account {number}")
        deal(account, strategy, profit=1, time=timezone.now())
    client = sign_in(alice)
    client.get(path)
    with django_assert_max_num_queries(queries):
        assert client.get(path).status_code == 200


def test_pages_need_no_inline_script_or_style(sign_in, firm, alice):
    client = sign_in(alice)
    for path in ("/", "/transactions/", "/log/", "/sync/", "/settings/", "/settings/connections/"):
        answer = client.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=\"", text_of(answer)), path


def test_demo_data_carries_its_badge_everywhere(sign_in, firm, alice, workspace):
    workspace.is_demo = True
    workspace.save()
    for path in ("/", "/transactions/", "/settings/"):
        assert "Demo · simulated market" in text_of(sign_in(alice).get(path))
