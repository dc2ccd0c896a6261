"""Rows 1 to 36 of the account APIs' conformance list, and row 39 (`tests/integration/conformance/conftest.py`)."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .conftest import ACCOUNTS, DEMO_SERVER, METASTATS, PROVISIONING, Caller

pytestmark = pytest.mark.django_db
READABLE = (
    "_id",
    "name",
    "login",
    "server",
    "version",
    "type",
    "state",
    "connectionStatus",
    "region",
    "reliability",
    "magic",
    "quoteStreamingIntervalInSeconds",
    "symbol",
    "hash",
    "riskManagementApiEnabled",
    "metastatsApiEnabled",
    "allocateDedicatedIp",
    "connections",
    "primaryReplica",
    "accountReplicas",
    "userId",
    "createdAt",
)
WITH_LOGIN = {"name": "Alice", "server": DEMO_SERVER, "platform": "mt5", "magic": 7, "password": "long-secret-1"}
STRATEGIES = "/users/current/configuration"


def post(caller: Caller, key: str = "", **body):
    headers = {"transaction-id": key} if key else {}
    return caller.call(PROVISIONING, "POST", ACCOUNTS, json=body, headers=headers)


def test_1_and_2_regions_and_servers_are_told(alice):
    assert alice.get(PROVISIONING, "/users/current/regions") == ["local"]
    server = alice.get(PROVISIONING, "/users/current/servers/mt-client-api")
    assert server == {"domain": f"localhost:{alice.port}", "hostname": "mt-client-api-v1"}


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("MT-Provisioning-API-v1.Copy.Example:8443", "copy.example:8443"),
        ("mt-provisioning-api-v1.copy.example.", "copy.example."),
        ("mt-provisioning-api-v1.", None),
        ("[", None),
        ("backend", None),
    ],
)
def test_2_the_domain_is_the_one_that_was_asked_under(alice, host, domain):
    path = "/users/current/servers/mt-client-api"
    assert alice.get("", path, host=host)["domain"] == (domain or f"localhost:{alice.port}")


@pytest.mark.parametrize("token", ["", "a.b.c", "x"])
def test_3_without_a_good_token_nothing_is_told(alice, token):
    for path in (ACCOUNTS, f"{ACCOUNTS}/{uuid.uuid4()}", "/users/current/regions"):
        alice.refused(401, PROVISIONING, "GET", path, headers={"auth-token": token})


def test_4_to_7_an_account_has_every_key_and_is_its_owners(alice, bob):
    account_id = alice.create()
    account = alice.account(account_id)
    assert [name for name in READABLE if name not in account] == []
    assert "primaryAccountId" not in account
    assert account["accountReplicas"] == []
    assert isinstance(account["login"], str)
    assert account["login"].isdigit()
    foreign = bob.refused(404, PROVISIONING, "GET", f"{ACCOUNTS}/{account_id}")
    unknown = alice.refused(404, PROVISIONING, "GET", f"{ACCOUNTS}/{uuid.uuid4()}")
    assert {**foreign, "id": 0} == {**unknown, "id": 0}


WRITES = (
    ("PUT", "", {"name": "n", "server": DEMO_SERVER}),
    ("DELETE", "", None),
    ("POST", "/deploy", None),
    ("POST", "/undeploy", None),
    ("POST", "/redeploy", None),
    ("POST", "/increase-reliability", None),
    ("POST", "/enable-risk-management-api", None),
    ("POST", "/enable-metastats-api", None),
    ("POST", "/enable-copy-factory-api", {"copyFactoryRoles": [], "copyFactoryResourceSlots": 1}),
    ("POST", "/enable-account-features", {"metastatsApiEnabled": True}),
    ("PUT", "/configuration-link", None),
    ("GET", "/replicas", None),
    ("POST", "/replicas", {"region": "local", "magic": 0}),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_5_what_is_anothers_does_not_exist(alice, bob, method, path, body):
    account_id = alice.create()
    before = alice.account(account_id)
    for some_id in (account_id, str(uuid.uuid4())):
        bob.refused(404, PROVISIONING, method, f"{ACCOUNTS}/{some_id}{path}", json=body)
    assert alice.account(account_id) == before


def test_8_to_12_pages_are_stable_and_bounded(alice):
    ids = [alice.create(name=f"n{number}") for number in range(3)]
    for headers in ({}, {"api-version": "1"}):
        assert [each["_id"] for each in alice.get(PROVISIONING, ACCOUNTS, headers=headers)] == ids
    classic = {"api-version": "2"}
    for _ in range(2):
        page = alice.get(PROVISIONING, f"{ACCOUNTS}?limit=1&offset=1", headers=classic)
        assert (page["count"], [each["_id"] for each in page["items"]]) == (3, ids[1:2])
    assert alice.get(PROVISIONING, f"{ACCOUNTS}?limit=1000&offset=3") == []
    assert [each["_id"] for each in alice.get(PROVISIONING, f"{ACCOUNTS}?sortOrder=desc")] == ids[::-1]
    for query in ("limit=0", "limit=1001", "offset=-1"):
        body = alice.refused(400, PROVISIONING, "GET", f"{ACCOUNTS}?{query}")
        assert [each["parameter"] for each in body["details"]] == [query.partition("=")[0]]


def test_13_to_17_filters(alice):
    provider = alice.create(name="Desk one", copyFactoryRoles=["PROVIDER"])
    subscriber = alice.create(name="Client two", copyFactoryRoles=["SUBSCRIBER"], platform="mt4")
    draft = post(alice, name="Draft", server=DEMO_SERVER, platform="mt5", magic=0).json()["id"]

    def ids(query: str) -> list[str]:
        return [each["_id"] for each in alice.get(PROVISIONING, f"{ACCOUNTS}?{query}")]

    assert ids("state=DEPLOYED&state=DRAFT") == ids("state[]=DEPLOYED&state[]=DRAFT") == [provider, subscriber, draft]
    assert ids("state=DRAFT") == [draft]
    assert ids("deploymentStatus=deployed") == ids("state=DEPLOYED") == [provider, subscriber]
    assert ids("copyFactoryRoles=PROVIDER") == [provider]
    assert ids("copyFactoryRoles=PROVIDER&copyFactoryRoles=SUBSCRIBER") == [provider, subscriber]
    assert ids("version=4") == [subscriber]
    assert ids("connectionStatus=DISCONNECTED") == [draft]
    assert ids("region=local&type=cloud") == [provider, subscriber, draft]
    assert ids("region=london") == []
    account = alice.account(provider)
    for text in ("sk ON", account["login"][2:], provider[4:]):
        assert ids(f"query={text}") == [provider]
    assert ids("query=broker-demo") == [provider, subscriber, draft]
    assert ids("colour=red") == [provider, subscriber, draft]
    alice.refused(400, PROVISIONING, "GET", f"{ACCOUNTS}?deploymentStatus=running")


def test_18_and_19_a_slow_check_is_asked_again_and_gives_one_account(alice):
    key, body = uuid.uuid4().hex, {**WITH_LOGIN, "login": "1800"}
    first = post(alice, key, **body)
    assert first.status_code == 202
    assert first.json()["message"]
    time.sleep(int(first.headers["retry-after"]))
    answers = [post(alice, key, **body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    account = alice.account(answers[0].json()["id"])
    assert (account["state"], account["login"], account["magic"]) == ("DEPLOYED", "1800", 7)


def test_19_at_the_same_moment_too(alice):
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(4) as threads:
        body = {"name": "n", "server": DEMO_SERVER, "platform": "mt5", "magic": 0, "balance": 5}
        answers = list(threads.map(lambda _: post(alice, key, **body), range(4)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(alice.get(PROVISIONING, ACCOUNTS)) == 1


def test_20_the_same_login_is_connected_once(alice, bob):
    body = {**WITH_LOGIN, "login": "2000"}
    assert post(alice, **body).status_code == 201
    again = post(alice, uuid.uuid4().hex, **body)
    assert again.status_code == 400
    assert again.json()["details"][0]["parameter"] == "login"
    assert post(bob, **body).status_code == 201  # another tenant's login is nobody's business


def test_21_a_draft_waits_for_its_login(alice):
    answer = post(alice, name="n", server=DEMO_SERVER, platform="mt5", magic=0)
    assert (answer.status_code, answer.json()["state"]) == (201, "DRAFT")
    account = alice.account(answer.json()["id"])
    assert (account["state"], account["connectionStatus"], account["login"]) == ("DRAFT", "DISCONNECTED", None)


def test_22_wrong_credentials(alice):
    body = {**WITH_LOGIN, "login": "2200"}
    assert post(alice, **{**body, "password": "wrong"}).json()["details"] == "E_AUTH"
    assert post(alice, **body).status_code == 201
    refused = post(alice, **{**body, "password": "another-password"})
    assert (refused.status_code, refused.json()["details"]) == (400, "E_AUTH")
    assert "another-password" not in refused.text


def test_23_an_unknown_server_is_answered_with_the_known_ones(alice):
    body = post(alice, **{**WITH_LOGIN, "login": "1", "server": "Elsewhere-1"}).json()
    assert body["details"]["code"] == "E_SRV_NOT_FOUND"
    assert DEMO_SERVER in next(iter(body["details"]["serversByBrokers"].values()))


@pytest.mark.parametrize("name", ["name", "server", "magic"])
def test_24_what_is_missing_is_named(alice, name):
    answer = post(alice, **{each: value for each, value in WITH_LOGIN.items() if each != name}, login="2400")
    assert answer.status_code == 400
    assert [each["parameter"] for each in answer.json()["details"]] == [name]


def test_a_new_accounts_id_is_the_servers(alice):
    account_id = alice.create(_id="mine", id="mine", balance=250.5, currency="EUR", leverage=30)
    assert uuid.UUID(account_id).version == 4
    alice.refused(404, PROVISIONING, "PUT", f"{ACCOUNTS}/mine", json={"name": "n", "server": DEMO_SERVER})


@pytest.mark.parametrize(
    ("currency", "balance", "is_taken"),
    [("USD", 100.01, True), ("USD", 100.005, False), ("JPY", 100, True), ("JPY", 100.5, False)],
)
def test_a_balance_has_the_decimals_of_its_currency(alice, currency, balance, is_taken):
    answer = post(alice, name="n", server=DEMO_SERVER, platform="mt5", magic=0, currency=currency, balance=balance)
    assert answer.status_code == (201 if is_taken else 400)
    assert is_taken or [each["parameter"] for each in answer.json()["details"]] == ["balance"]


def test_a_number_that_nothing_can_store_is_refused_and_ends_nothing(alice):
    body = {"name": "n", "server": DEMO_SERVER, "platform": "mt5", "magic": 0, "metadata": {"a": 10**30}}
    answer = post(alice, **body)
    assert (answer.status_code, answer.json()["details"][0]["parameter"]) == (400, "metadata")
    account_id = alice.create()
    change = {"name": "n", "server": DEMO_SERVER, "metadata": {"a": [2**64]}}
    alice.refused(400, PROVISIONING, "PUT", f"{ACCOUNTS}/{account_id}", json=change)
    assert [each["_id"] for each in alice.get(PROVISIONING, ACCOUNTS)] == [account_id]


def test_26_a_change_of_the_server_keeps_logins_apart(alice):
    live = DEMO_SERVER.replace("Demo", "Live")
    demo_id = post(alice, **WITH_LOGIN, login="2601").json()["id"]
    post(alice, **{**WITH_LOGIN, "server": live}, login="2601")
    free_id = post(alice, **WITH_LOGIN, login="2602").json()["id"]
    path, change = f"{ACCOUNTS}/{demo_id}", {"name": "n", "server": live}
    body = alice.refused(400, PROVISIONING, "PUT", path, json=change)
    assert [each["parameter"] for each in body["details"]] == ["server"]
    assert alice.account(demo_id)["server"] == DEMO_SERVER
    for _ in range(2):  # what it is already is no change
        assert alice.call(PROVISIONING, "PUT", f"{ACCOUNTS}/{free_id}", json=change).status_code == 204
    assert alice.account(free_id)["server"] == live


def test_26_an_update_does_what_it_says_and_tells_no_password(alice):
    account_id = post(alice, **WITH_LOGIN, login="2600", tags=["a"]).json()["id"]
    change = {"name": "New name", "server": DEMO_SERVER, "password": "another-secret", "magic": 9, "metadata": {"a": 1}}
    answer = alice.call(PROVISIONING, "PUT", f"{ACCOUNTS}/{account_id}", json=change)
    assert (answer.status_code, answer.content) == (204, b"")
    account = alice.account(account_id)
    assert (account["name"], account["magic"], account["metadata"]) == ("New name", 9, {"a": 1})
    assert account["tags"] == ["a"]
    assert "secret" not in str(account)
    assert "secret" not in str(alice.get(PROVISIONING, ACCOUNTS))
    refused = post(alice, **WITH_LOGIN, login="2600")
    assert refused.json()["details"] == "E_AUTH"  # the old password


def test_27_to_29_an_account_stops_and_starts(alice):
    account_id = alice.create()
    path = f"{ACCOUNTS}/{account_id}"
    for action in ("deploy", "deploy"):
        assert alice.call(PROVISIONING, "POST", f"{path}/{action}?executeForAllReplicas=true").status_code == 204
    assert alice.account(account_id)["state"] == "DEPLOYED"
    for _ in range(2):
        assert alice.call(PROVISIONING, "POST", f"{path}/undeploy").status_code == 204
    assert alice.wait_for(account_id, "UNDEPLOYED")[0] == "UNDEPLOYING"
    assert alice.account(account_id)["connectionStatus"] == "DISCONNECTED"
    assert alice.call(PROVISIONING, "POST", f"{path}/deploy").status_code == 204
    assert alice.wait_for(account_id, "DEPLOYED")[0] == "DEPLOYING"
    assert alice.account(account_id)["connectionStatus"] == "CONNECTED"
    assert alice.call(PROVISIONING, "POST", f"{path}/redeploy").status_code == 204
    assert alice.wait_for(account_id, "DEPLOYED")[0] == "DEPLOYING"


def test_nothing_is_opened_on_an_account_that_does_not_run(alice):
    running = alice.create()
    draft = post(alice, name="n", server=DEMO_SERVER, platform="mt5", magic=0, copyFactoryRoles=[]).json()["id"]
    bought = {"actionType": "ORDER_TYPE_BUY", "symbol": "EURUSD", "volume": 0.01}

    def trade(account_id: str, **body) -> httpx.Response:
        return alice.call("", "POST", f"{ACCOUNTS}/{account_id}/trade", json=body, host="backend")

    assert trade(running, **bought).json()["stringCode"] == "TRADE_RETCODE_DONE"
    assert alice.call(PROVISIONING, "POST", f"{ACCOUNTS}/{running}/undeploy").status_code == 204
    for account_id in (draft, running):
        answer = trade(account_id, **bought)
        assert (answer.status_code, "not deployed" in answer.json()["message"]) == (404, True)
    assert trade(running, actionType="POSITIONS_CLOSE_SYMBOL", symbol="EURUSD").status_code == 200


def test_30_a_deleted_account_is_gone(alice):
    account_id, other = alice.create(), alice.create()
    answer = alice.call(PROVISIONING, "DELETE", f"{ACCOUNTS}/{account_id}?executeForAllReplicas=false")
    assert answer.status_code == 204
    for _ in range(3):
        alice.refused(404, PROVISIONING, "GET", f"{ACCOUNTS}/{account_id}")
    alice.refused(404, PROVISIONING, "DELETE", f"{ACCOUNTS}/{account_id}")
    assert [each["_id"] for each in alice.get(PROVISIONING, ACCOUNTS)] == [other]


def put_strategy(caller: Caller, account_id: str) -> httpx.Response:
    strategy_id = caller.call("", "GET", f"{STRATEGIES}/unused-strategy-id", host="backend").json()["id"]
    body = {"name": "n", "description": "d", "accountId": account_id}
    return caller.call("", "PUT", f"{STRATEGIES}/strategies/{strategy_id}", json=body, host="backend")


def test_31_a_role_is_what_a_strategy_and_a_subscriber_need(alice):
    account_id = alice.create()
    path = f"{ACCOUNTS}/{account_id}"
    assert alice.account(account_id)["copyFactoryRoles"] == []
    assert put_strategy(alice, account_id).status_code == 400
    subscriber = {"name": "n", "subscriptions": []}
    address = f"{STRATEGIES}/subscribers/{account_id}"
    assert alice.call("", "PUT", address, json=subscriber, host="backend").status_code == 400
    roles = {"copyFactoryRoles": ["PROVIDER"], "copyFactoryResourceSlots": 1}
    assert alice.call(PROVISIONING, "POST", f"{path}/enable-copy-factory-api", json=roles).status_code == 204
    assert alice.account(account_id)["copyFactoryRoles"] == ["PROVIDER"]
    assert put_strategy(alice, account_id).status_code == 204
    # what is in use is neither taken away nor deleted
    nothing = {"copyFactoryRoles": [], "copyFactoryResourceSlots": 1}
    alice.refused(400, PROVISIONING, "POST", f"{path}/enable-copy-factory-api", json=nothing)
    alice.refused(400, PROVISIONING, "DELETE", path)
    both = {"name": "n", "server": DEMO_SERVER, "copyFactoryRoles": ["SUBSCRIBER", "PROVIDER"]}
    assert alice.call(PROVISIONING, "PUT", path, json=both).status_code == 204
    assert alice.account(account_id)["copyFactoryRoles"] == ["PROVIDER", "SUBSCRIBER"]
    assert alice.call("", "PUT", address, json=subscriber, host="backend").status_code == 204


def test_32_and_33_features(alice):
    account_id = alice.create(reliability="regular")
    path = f"{ACCOUNTS}/{account_id}"
    before = alice.account(account_id)
    assert (before["metastatsApiEnabled"], before["riskManagementApiEnabled"]) == (False, False)
    features = {
        "copyFactoryApi": {"copyFactoryRoles": ["SUBSCRIBER"], "copyFactoryResourceSlots": 2},
        "metastatsApiEnabled": True,
        "riskManagementApiEnabled": True,
    }
    assert alice.call(PROVISIONING, "POST", f"{path}/enable-account-features", json=features).status_code == 204
    after = alice.account(account_id)
    assert (after["metastatsApiEnabled"], after["riskManagementApiEnabled"]) == (True, True)
    assert (after["copyFactoryRoles"], after["copyFactoryResourceSlots"]) == (["SUBSCRIBER"], 2)
    other = f"{ACCOUNTS}/{alice.create(reliability='regular')}"
    for action in ("increase-reliability", "enable-risk-management-api", "enable-metastats-api"):
        assert alice.call(PROVISIONING, "POST", f"{other}/{action}").status_code == 204
    enabled = alice.get(PROVISIONING, other)
    assert enabled["reliability"] == "high"
    assert (enabled["metastatsApiEnabled"], enabled["riskManagementApiEnabled"]) == (True, True)


def test_34_a_link_is_used_once_by_whoever_has_it(alice):
    account_id = post(alice, name="<b>n</b>", server=DEMO_SERVER, platform="mt5", magic=0).json()["id"]
    path = f"{ACCOUNTS}/{account_id}/configuration-link"
    first, link = (alice.call(PROVISIONING, "PUT", path + query) for query in ("", "?ttlInDays=1"))
    assert first.json() != link.json()
    for days in ("0", "31", "x"):
        alice.refused(400, PROVISIONING, "PUT", f"{path}?ttlInDays={days}")
    address = httpx.URL(link.json()["configurationLink"]).copy_with(host="127.0.0.1", port=alice.port)
    page = httpx.get(address, headers={"accept": "text/html"})
    assert (page.status_code, "&lt;b&gt;" in page.text, "<b>" in page.text) == (200, True, False)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert httpx.get(address).json() == {"configured": False, "server": DEMO_SERVER, "platform": "mt5"}
    for body in (
        {"login": "3400", "password": "short"},
        {"password": "long-enough-1"},
        {"login": "x", "password": "y"},
    ):
        assert httpx.put(address, json=body).status_code == 400
    typed = {"login": "3400", "password": "long-enough-1"}
    assert httpx.post(address, data=typed, headers={"accept": "text/html"}).status_code == 200
    assert alice.wait_for(account_id, "DEPLOYED")
    assert alice.account(account_id)["login"] == "3400"
    assert httpx.get(address, headers={"accept": "text/html"}).status_code == 404
    assert httpx.put(address, json=typed).status_code == 404
    wrong = str(address)[:-1] + ("0" if str(address)[-1] != "0" else "1")
    assert httpx.get(wrong).status_code == 404


def test_34_a_later_link_changes_the_password_and_not_the_login(alice):
    account_id = post(alice, **WITH_LOGIN, login="3401").json()["id"]
    path = f"{ACCOUNTS}/{account_id}/configuration-link"
    link = alice.call(PROVISIONING, "PUT", path).json()["configurationLink"]
    address = httpx.URL(link).copy_with(host="127.0.0.1", port=alice.port)
    assert httpx.get(address).json()["login"] == "3401"
    refused = httpx.put(address, json={"login": "3402", "password": "long-enough-2"})
    assert (refused.status_code, refused.json()["details"][0]["parameter"]) == (400, "login")
    assert httpx.put(address, json={"login": "3401", "password": "long-enough-2"}).status_code == 204
    assert post(alice, **WITH_LOGIN, login="3401").json()["details"] == "E_AUTH"  # the old password


def test_34_with_one_link_all_of_its_account_are_used_up(alice):
    drafts = [post(alice, name="n", server=DEMO_SERVER, platform="mt5", magic=0).json()["id"] for _ in range(2)]
    first, second, others = (
        httpx.URL(alice.call(PROVISIONING, "PUT", f"{ACCOUNTS}/{draft}/configuration-link").json()["configurationLink"])
        for draft in (drafts[0], drafts[0], drafts[1])
    )
    typed = {"login": "3410", "password": "long-enough-1"}
    local = {"host": "127.0.0.1", "port": alice.port}
    assert httpx.put(first.copy_with(**local), json=typed).status_code == 204
    assert httpx.get(second.copy_with(**local)).status_code == 404
    assert httpx.put(second.copy_with(**local), json=typed).status_code == 404
    assert httpx.get(others.copy_with(**local)).status_code == 200


def test_26_of_many_that_want_a_login_at_once_one_gets_it(alice):
    live = DEMO_SERVER.replace("Demo", "Live")
    ids = [post(alice, **{**WITH_LOGIN, "server": server}, login="2610").json()["id"] for server in (DEMO_SERVER, live)]

    def move(account_id: str, server: str) -> httpx.Response:
        return alice.call(PROVISIONING, "PUT", f"{ACCOUNTS}/{account_id}", json={"name": "n", "server": server})

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(move, ids * 4, [live, DEMO_SERVER] * 4)]
    assert {answer.status_code for answer in answers} <= {204, 400}
    assert alice.account(ids[0])["server"] != alice.account(ids[1])["server"]


def test_a_draft_and_a_new_account_that_want_a_login_at_once(alice):
    draft = post(alice, name="n", server=DEMO_SERVER, platform="mt5", magic=0).json()["id"]
    link = alice.call(PROVISIONING, "PUT", f"{ACCOUNTS}/{draft}/configuration-link").json()["configurationLink"]
    address = httpx.URL(link).copy_with(host="127.0.0.1", port=alice.port)
    typed = {"login": "2620", "password": WITH_LOGIN["password"]}
    with ThreadPoolExecutor(4) as pool:
        by_link = [pool.submit(httpx.put, address, json=typed, timeout=30) for _ in range(2)]
        by_hand = [pool.submit(post, alice, **WITH_LOGIN, login="2620") for _ in range(2)]
        answers = [each.result().status_code for each in by_link + by_hand]
    assert sum(status in (201, 204) for status in answers) == 1, answers
    assert sum(each.get("login") == "2620" for each in alice.get(PROVISIONING, ACCOUNTS)) == 1


def test_35_servers_are_searched(alice):
    assert alice.get(PROVISIONING, "/known-mt-servers/5/search?query=broker-d") == {"Paper Broker": [DEMO_SERVER]}
    assert alice.get(PROVISIONING, "/known-mt-servers/4/search?query=nothing-like-it") == {}
    alice.refused(404, PROVISIONING, "GET", "/known-mt-servers/6/search?query=paper")


def test_36_there_is_one_region_so_there_are_no_replicas(alice):
    path = f"{ACCOUNTS}/{alice.create()}/replicas"
    assert alice.get(PROVISIONING, path) == []
    body = alice.refused(400, PROVISIONING, "POST", path, json={"region": "local", "magic": 0})
    assert body["details"][0]["parameter"] == "region"
    alice.refused(404, PROVISIONING, "DELETE", f"{path}/{uuid.uuid4()}")


@pytest.mark.parametrize(
    "host", ["backend", "localhost", "copyfactory-api-v1.local.localhost", "METASTATS-API-V1.local.x"]
)
def test_39_only_the_provisioning_api_deletes_an_account(alice, host):
    account_id = alice.create()
    path = f"{ACCOUNTS}/{account_id}"
    answer = alice.call("", "DELETE", path, host=host)
    assert answer.status_code in (204, 404, 405)
    for twice in (f"/{PROVISIONING}{path}", f"//{PROVISIONING}{path}"):  # no prefix gets behind the name of a host
        assert alice.call(METASTATS, "DELETE", twice, host="metastats-api-v1.local.localhost").status_code == 404
    assert alice.account(account_id)["_id"] == account_id


def test_an_account_of_another_region_is_nowhere(alice):
    account_id = alice.create()
    for host in ("mt-client-api-v1.london.localhost", "metastats-api-v1.new-york.localhost", "mt-client-api-v1"):
        body = alice.refused(404, "", "GET", f"{ACCOUNTS}/{account_id}/account-information", host=host)
        assert "local" in body["message"]


@pytest.mark.parametrize("login", ["", "2500"])
def test_25_creating_ends_with_an_account_that_can_be_read(alice, login):
    """As the vendor's client does: one POST, the same again while the login is checked, then a GET of the id."""
    body = {"name": "Read me", "server": DEMO_SERVER, "platform": "mt5", "magic": 25, "tags": ["kit"]}
    body |= {"login": login, "password": "long-secret-1"} if login else {}
    key, until = uuid.uuid4().hex, time.monotonic() + 60
    while (answer := post(alice, key, **body)).status_code == 202:
        assert time.monotonic() < until
        time.sleep(min(float(answer.headers["retry-after"]), 1))
    assert answer.status_code == 201, answer.text
    account = alice.account(answer.json()["id"])
    assert [name for name in READABLE if name not in account] == []
    assert (account["_id"], account["state"]) == (answer.json()["id"], answer.json()["state"])
    assert (account["name"], account["magic"], account["tags"]) == ("Read me", 25, ["kit"])
    assert account["login"] == (login or None)
    assert account["_id"] in {row["_id"] for row in alice.get(PROVISIONING, ACCOUNTS)}
