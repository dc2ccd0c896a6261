"""Accounts made, stopped, started and deleted: what becomes of trades, of a replay, and of the state before."""

from __future__ import annotations

import msgspec
import pytest

from copying.backend.broker.paper import PaperBroker
from copying.backend.core.apply import apply
from copying.backend.http.trading_accounts import trading_account
from copying.backend.state import snapshot
from copying.backend.state.book import Book
from copying.backend.state.commands import (
    NEWEST_RULES,
    Command,
    ConfigureAccount,
    CreateAccount,
    DeleteAccount,
    MakeConfigurationLink,
    SetDeployment,
    Trade,
)
from copying.backend.state.entities import AccountMeta
from copying.backend.state.errors import Refused
from copying.backend.state.trading_accounts import DEPLOY_SECONDS, MOST_LINKS, own_accounts, roles_of, shown_login
from tests.unit.copying.backend.desk import Desk

BOTH = ["PROVIDER", "SUBSCRIBER"]


def create(desk: Desk, account_id: str, roles: list[str] | None = None, **changes) -> None:
    """An account that runs, with these roles."""
    command = CreateAccount(
        tenant="t",
        account_id=account_id,
        name=account_id,
        currency="USD",
        leverage=100,
        deposit=10_000,
        demo=True,
        settings={"copyFactoryRoles": roles or []},
    )
    desk.do(msgspec.structs.replace(command, **changes))


def deploy(desk: Desk, account_id: str, action: str) -> None:
    desk.do(SetDeployment(tenant="t", account_id=account_id, action=action))


def state(desk: Desk, account_id: str) -> tuple[str, str]:
    account = trading_account(desk.book, desk.book.account_rows[account_id], "local")
    return account["state"], account["connectionStatus"]


def test_an_account_that_a_document_names_may_do_everything(desk):
    desk.strategy()
    desk.subscriber()
    assert [roles_of(meta) for meta in desk.book.account_meta] == [BOTH, BOTH]


@pytest.mark.parametrize(
    ("roles", "provides", "copies"), [([], 0, 0), (BOTH[:1], 1, 0), (BOTH[1:], 0, 1), (BOTH, 1, 1)]
)
def test_an_account_that_was_made_does_what_its_roles_say(desk, roles, provides, copies):
    desk.strategy()
    create(desk, "new", roles)
    for is_allowed, act in ((provides, lambda: desk.strategy("T", "new")), (copies, lambda: desk.subscriber("new"))):
        if is_allowed:
            act()
        else:
            with pytest.raises(Refused, match="does not have the role"):
                act()


def test_a_strategy_that_stays_on_its_account_can_be_edited_without_the_role(desk):
    create(desk, "new", BOTH)
    desk.strategy("T", "new")
    desk.book.account_meta[desk.book.account_rows["new"]].settings["copyFactoryRoles"] = []  # as of another version
    desk.strategy("T", "new", description="edited")


def test_a_stopped_account_misses_opens_and_makes_up_for_closes(desk):
    desk.strategy()
    desk.subscriber("a")
    desk.subscriber("b")
    desk.signal()
    deploy(desk, "a", "undeploy")
    assert state(desk, "a") == ("UNDEPLOYING", "DISCONNECTED")
    desk.close_signal()
    desk.signal("sig00002", volume=0.2)
    assert (desk.held("a"), desk.held("b")) == ([("EURUSD", 1, 0.1)], [("EURUSD", 1, 0.2)])
    desk.tick(DEPLOY_SECONDS)
    assert state(desk, "a") == ("UNDEPLOYED", "DISCONNECTED")
    deploy(desk, "a", "deploy")
    assert state(desk, "a") == ("DEPLOYING", "DISCONNECTED")
    desk.tick(DEPLOY_SECONDS)
    assert state(desk, "a") == ("DEPLOYED", "CONNECTED")
    assert ("EURUSD", 1, 0.1) not in desk.held("a")


@pytest.mark.parametrize(("seconds", "is_over"), [(-0.001, False), (0, True), (0.001, True)])
def test_a_start_is_over_at_its_moment(desk, seconds, is_over):
    create(desk, "new")
    deploy(desk, "new", "redeploy")
    meta = desk.book.account_meta[0]
    desk.now = meta.state_ends - 1 + seconds  # an entry comes a second later
    desk.tick()
    assert (meta.state == "DEPLOYED") == is_over


def test_a_draft_is_started_by_its_login_and_not_before(desk):
    create(desk, "new", draft=True)
    assert state(desk, "new") == ("DRAFT", "DISCONNECTED")
    with pytest.raises(Refused, match="draft"):
        deploy(desk, "new", "deploy")
    desk.do(ConfigureAccount(tenant="t", account_id="new", login="1001", verifier="v"))
    assert state(desk, "new") == ("DEPLOYING", "DISCONNECTED")


def by_rules(desk: Desk, rules: int, command: Command) -> None:
    """Carry out a command of a journal that was written by these rules; a refusal is raised."""
    desk.book.rules = rules
    desk.do(command)


@pytest.mark.parametrize("rules", [3, NEWEST_RULES])
def test_a_link_is_good_until_it_expires_or_one_of_its_account_is_used(desk, rules):
    create(desk, "new", draft=True)
    for number in range(MOST_LINKS + 1):
        expires_at = desk.now + 100 + number
        desk.do(MakeConfigurationLink(tenant="t", account_id="new", digest=f"d{number}", expires_at=expires_at))
    used = ConfigureAccount(tenant="t", account_id="new", login="1001", verifier="v", link="d1")
    for digest in ("d0", "other"):  # one more than the most, and none at all
        with pytest.raises(Refused, match="expired"):
            by_rules(desk, rules, msgspec.structs.replace(used, link=digest))
    by_rules(desk, rules, used)
    with pytest.raises(Refused, match="used already"):
        by_rules(desk, rules, used)
    links = desk.book.account_meta[0].links
    assert set(links) == (set() if rules == NEWEST_RULES else {"d2", "d3", "d4", "d5"})
    if links:
        desk.now = links["d2"] - 1
        with pytest.raises(Refused, match="expired"):
            by_rules(desk, rules, msgspec.structs.replace(used, link="d2"))
        by_rules(desk, rules, msgspec.structs.replace(used, link="d3"))
    else:
        desk.do(MakeConfigurationLink(tenant="t", account_id="new", digest="d9", expires_at=desk.now + 100))
        with pytest.raises(Refused, match="used already"):
            desk.do(msgspec.structs.replace(used, link="d2"))
        desk.do(msgspec.structs.replace(used, link="d9"))


@pytest.mark.parametrize("rules", [3, NEWEST_RULES])
def test_a_login_stays_one_accounts_when_a_server_changes(desk, rules):
    for account_id, server in (("here", "Demo"), ("there", "Live")):
        create(desk, account_id, login="1001", settings={"server": server})
    other_name = ConfigureAccount(tenant="t", account_id="here", name="n", settings={"server": "Demo"})
    by_rules(desk, rules, other_name)
    moved = msgspec.structs.replace(other_name, settings={"server": "Live"})
    if rules < NEWEST_RULES:
        by_rules(desk, rules, moved)  # as it was journalled, so it is
        desk.do(moved)  # and stays editable
        return
    with pytest.raises(Refused) as refused:
        by_rules(desk, rules, moved)
    assert [each["parameter"] for each in refused.value.details] == ["server"]
    create(desk, "elsewhere", login="1001", settings={"server": "Third"}, tenant="u")
    desk.do(msgspec.structs.replace(moved, settings={"server": "Third"}))  # another tenant's is no obstacle


@pytest.mark.parametrize("rules", [3, NEWEST_RULES])
@pytest.mark.parametrize("action", ["ORDER_TYPE_BUY", "ORDER_TYPE_BUY_LIMIT"])
def test_nothing_is_opened_on_an_account_that_stopped_in_between(desk, rules, action):
    create(desk, "new")
    desk.trade("ORDER_TYPE_BUY", "new")
    deploy(desk, "new", "undeploy")
    order = Trade(tenant="t", account_id="new", action_type=action, symbol="EURUSD", volume_lots=0.1, price=1.0)
    close = Trade(tenant="t", account_id="new", action_type="POSITIONS_CLOSE_SYMBOL", symbol="EURUSD")
    by_rules(desk, rules, close)
    if rules < NEWEST_RULES:
        by_rules(desk, rules, order)
        assert desk.effects[-1].answer["stringCode"] == "TRADE_RETCODE_CONNECTION"
    else:
        with pytest.raises(Refused, match="not deployed"):
            by_rules(desk, rules, order)
    assert (desk.book.positions.size, desk.book.orders.size) == (1, 0)


def test_a_deleted_account_leaves_the_others_as_they_are(desk):
    desk.strategy()
    desk.subscriber("a")
    create(desk, "new", BOTH)
    desk.trade("ORDER_TYPE_BUY", "new")
    desk.trade("ORDER_TYPE_BUY_LIMIT", "new", price=1.0)
    desk.do(DeleteAccount(tenant="t", account_id="new"))
    assert (desk.book.positions.size, desk.book.orders.size) == (0, 0)
    with pytest.raises(Refused, match="not found"):
        desk.do(DeleteAccount(tenant="t", account_id="new"))
    desk.signal()
    assert desk.held("a") == [("EURUSD", 1, 0.1)]
    for account_id in ("a", "prov"):
        with pytest.raises(Refused, match="remove that first"):
            desk.do(DeleteAccount(tenant="t", account_id=account_id))


def test_a_replay_and_a_snapshot_know_the_same_accounts(desk):
    desk.strategy()
    create(desk, "kept", BOTH, login="1001", verifier="v")
    create(desk, "gone")
    desk.do(DeleteAccount(tenant="t", account_id="gone"))
    deploy(desk, "kept", "redeploy")
    replayed = Book(PaperBroker(), slippage_spreads=0.0)
    for number, entry in enumerate(desk.entries, 1):
        apply(replayed, entry, number)
    restored = snapshot.unpack(snapshot.pack(desk.book), PaperBroker())
    for book in (replayed, restored):
        assert book.account_rows == desk.book.account_rows
        assert book.account_meta == desk.book.account_meta
        assert book.accounts_of == desk.book.accounts_of == {"t": {0: None, 1: None}}
        assert own_accounts(book, "t") == [(row, book.account_meta[row]) for row in (0, 1)]
        assert own_accounts(book, "u") == []
        assert book.deployments == desk.book.deployments


def test_an_account_of_a_snapshot_from_before_runs_and_may_do_everything():
    before = {"id": "a", "tenant": "t", "name": "n", "demo": True, "robot": "", "created_at": 1.0}
    meta = msgspec.convert(before, AccountMeta)
    assert (meta.state, roles_of(meta), meta.links) == ("DEPLOYED", BOTH, {})


@pytest.mark.parametrize(
    ("account_id", "login"),
    [
        ("a", "10000098"),
        ("ab", "10025285"),
        ("b", "10000099"),
        ("ä", "10050537"),
        ("a-long-id-of-32-bytes-or-so", "60169192"),
    ],
)
def test_an_account_without_a_login_has_a_number_that_follows_from_its_id(desk: Desk, account_id, login) -> None:
    desk.account(account_id)
    meta = desk.book.account_meta[desk.book.account_rows[account_id]]
    meta.login = ""
    assert shown_login(meta) == login
    meta.login = "77"
    assert shown_login(meta) == "77"
