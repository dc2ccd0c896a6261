"""One backend behind three doors: only the contract, the account APIs beside it, and everything that ours adds.

The same deals of accounts in three currencies, under schemes of every billing period. Whatever a backend tells, the
commissions are the same to the cent, every page is there, none says what is not true, and none adds up currencies.
"""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from django.utils import timezone

from copying.backend import tokens
from copying.client import Client, new_transaction_id, parse_reach
from copying.contract.provisioning import NewTradingAccount
from reporting.commission.services import accrue_workspace
from reporting.entering import EntryRow, save_entries
from reporting.models import CommissionLine, SyncKind, SyncState, Transaction
from reporting.rights import rights_of
from strategies.models import Strategy
from subscribers.models import Subscriber
from tests import builders
from tests.contract_only import ContractOnly
from tests.faults.mirroring import settle
from tests.integration.editing.conftest import QUOTES, served
from tests.integration.reporting.test_contract_only import PROMISES, filled, pages
from users.models import Connection

__all__ = ["served"]
_numbers = itertools.count(1)
pytestmark = pytest.mark.django_db(transaction=True)
DOORS = ("contract", "accounts", "ours")
CURRENCIES = {"dollars": "USD", "euros": "EUR", "yen": "JPY"}
BALANCE = 100_000_000.0  # enough for every copy in yen, too
SCHEMES = {
    "won": {"type": "amount-won", "billingPeriod": "week", "commissionRate": 0.2},
    "lots": {"type": "lots-traded", "billingPeriod": "month", "commissionRate": 7.77},
    "traded": {"type": "amount-traded", "billingPeriod": "quarter", "commissionRate": 0.00031},
    "mark": {"type": "high-water-mark", "billingPeriod": "month", "commissionRate": 0.25},
}
BALANCES = {SyncKind.ACCOUNTS, SyncKind.POSITIONS, SyncKind.PROVISIONING}
ADDED = {SyncKind.LIMITS, SyncKind.DECISIONS}


@pytest.fixture
def trades(served):
    """(address, token, account ids by name) of a backend where three accounts copied four strategies, with a profit."""
    served.move(**QUOTES)
    tenant = f"three{next(_numbers)}x"
    token = tokens.issue(tenant)
    with Client(token, base_url=served.url, reach=parse_reach(("127.0.0.0/8",))) as client:
        accounts = {}
        for name, currency in CURRENCIES.items():
            asked = NewTradingAccount(
                name=name.title(),
                server="PaperBroker-Demo",
                magic=0,
                platform="mt5",
                balance=BALANCE,
                currency=currency,
                leverage=100.0,
                copy_factory_roles=["SUBSCRIBER"],
            )
            accounts[name] = client.create_trading_account(asked, transaction_id=new_transaction_id()).id
        strategies = {}
        for name, scheme in SCHEMES.items():
            strategies[name] = client.unused_strategy_id()
            document = {
                "name": name.title(),
                "description": "d",
                "accountId": f"{tenant}p-{name}",
                "tradeSizeScaling": {"mode": "none"},
                "commissionScheme": scheme,
            }
            client.put_strategy(strategies[name], document)
        for name, account in accounts.items():
            terms = [{"strategyId": strategy, "multiplier": 1} for strategy in strategies.values()]
            client.put_subscriber(account, {"name": name.title(), "subscriptions": terms})
        for number, strategy in enumerate(strategies.values(), 1):
            signal = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": number * 0.31}
            client.put_external_signal(strategy, "closed", signal | {"time": timezone.now().isoformat()})
            client.put_external_signal(strategy, "open", signal | {"time": timezone.now().isoformat()})
        served.move(EURUSD=(1.10637, 1.10645))
        for strategy in strategies.values():
            client.remove_external_signal(strategy, "closed", time=timezone.now())
        served.settle()
    yield served.url, token, accounts
    served.settle()


@pytest.fixture(params=DOORS)
def door(request, trades):
    """(name, address) of a door before the backend."""
    url, _, _ = trades
    if request.param == "ours":
        yield request.param, url
        return
    with ContractOnly(url, passes_accounts=request.param == "accounts") as opened:
        yield request.param, opened.url


def mirror(workspace, address: str, token: str) -> Connection:
    """A connection with all that its backend tells, synced and accrued."""
    connection = builders.connection(workspace, base_url=address, token=token)
    settle(connection, [SyncKind.CONFIGURATION])
    settle(connection, [SyncKind.PROVISIONING])
    settle(connection)
    accrue_workspace(workspace.pk, timezone.now())
    return connection


def enter_currencies(workspace, person, accounts: dict[str, str]) -> None:
    """By hand, as whoever has no account API does."""
    rows = [EntryRow(number, accounts[name], code) for number, (name, code) in enumerate(CURRENCIES.items(), 2)]
    assert len(save_entries(workspace, rows, by=person, now=timezone.now())) == len(CURRENCIES)
    accrue_workspace(workspace.pk, timezone.now())


def lines_of(connection: Connection) -> dict[tuple, tuple[str, Decimal]]:
    """What is owed, line by line."""
    own = CommissionLine.objects.filter(connection=connection)
    return {(one.strategy_id, one.subscriber_id, one.scheme, one.key): (one.currency, one.amount) for one in own}


def test_commissions_are_the_same_to_the_cent_behind_every_door(trades):
    url, token, accounts = trades
    told = {}
    with ContractOnly(url) as contract, ContractOnly(url, passes_accounts=True) as with_accounts:
        for name, address in zip(DOORS, (contract.url, with_accounts.url, url), strict=True):
            workspace = builders.workspace(name=name.title())
            person = builders.member(workspace, f"owner-{name}", "owner")
            connection = mirror(workspace, address, token)
            if name == "contract":
                assert lines_of(connection) == {}, "nothing is charged in a currency that nobody knows"
                enter_currencies(workspace, person, accounts)
            told[name] = lines_of(connection)
    charged = {key[:2] for key in told["ours"]}
    assert len(charged) == len(SCHEMES) * len(CURRENCIES), "every scheme charges every account"
    assert all(amount > 0 for _, amount in told["ours"].values())
    assert {currency for currency, _ in told["ours"].values()} == set(CURRENCIES.values())
    assert told["contract"] == told["ours"]
    assert told["accounts"] == told["ours"]


def test_what_a_backend_offers_is_known_and_pages_say_nothing_that_is_not_true(
    door, trades, workspace, alice, dora, sign_in, text_of
):
    name, address = door
    _, token, accounts = trades
    connection = mirror(workspace, address, token)
    states = SyncState.objects.filter(connection=connection)
    assert [state.kind for state in states if state.failing_since] == []
    missing = {one.right.kind for one in rights_of(connection) if one.state.code == "missing"}
    assert missing & BALANCES == (BALANCES if name == "contract" else set())
    assert missing & ADDED == (set() if name == "ours" else ADDED)
    assert Transaction.objects.filter(connection=connection).count() > len(SCHEMES) * len(CURRENCIES)
    mine = Subscriber.objects.get(connection=connection, backend_id=accounts["euros"])
    dora.memberships.get().accesses.create(subscriber=mine)
    strategy = Strategy.objects.filter(connection=connection).order_by("pk")[0]
    walked = 0
    for route in pages():
        path = filled(route, strategy.pk, mine.pk, connection.pk)
        if path is None or (name != "ours" and path.endswith("/resynchronise/")):
            continue
        for person in (alice, dora):
            answer = sign_in(person).get(path.replace("/s1/", f"/{strategy.backend_id}/"))
            assert answer.status_code < 500, (path, person)
            if answer.status_code == 200 and "html" in answer.headers.get("Content-Type", ""):
                text = text_of(answer)
                false = PROMISES if name == "contract" else (*PROMISES[3:], "It needs access to the accounts")
                false = false if name != "accounts" else PROMISES
                assert [words for words in false if words in text] == [], (path, person)
                walked += 1
    assert walked > 60
    check_sums(name, connection, sign_in(alice))


def check_sums(name: str, connection: Connection, http) -> None:
    """No page adds dollars, euros and yen."""
    totals = http.get("/transactions/totals/").content.decode()
    if name == "contract":
        assert "3 accounts whose currencies are not known" in totals
    else:
        for code in CURRENCIES.values():
            assert code in totals, code
        assert "not known" not in totals
    cells = http.get("/strategies/results/", headers={"HX-Request": "true"}).content.decode()
    assert name != "contract" or "0.00" not in cells, "what is not known is no zero"
    positions = http.get("/positions/").content.decode()
    assert ("EURUSD" in positions) is (name != "contract")
    known = Subscriber.objects.filter(connection=connection).exclude(equity=None).count()
    assert known == (0 if name == "contract" else len(CURRENCIES))
