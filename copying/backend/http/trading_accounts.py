"""Trading accounts as the provisioning API shows them (account APIs, 2.2 and 2.3). Changes nothing."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from copying.backend.http.parameters import Query
from copying.backend.state.book import Book
from copying.backend.state.entities import AccountMeta
from copying.backend.state.errors import invalid
from copying.backend.state.times import iso
from copying.backend.state.trading_accounts import own_accounts, roles_of, shown_login

BROKER = "Paper Broker"
DEMO_SERVER, LIVE_SERVER = "PaperBroker-Demo", "PaperBroker-Live"
SERVERS = (DEMO_SERVER, LIVE_SERVER)
DEFAULTS: dict[str, Any] = {
    "type": "cloud-g2",
    "reliability": "high",
    "copyFactoryResourceSlots": 1,
    "resourceSlots": 1,
    "baseCurrency": "USD",
    "magic": 0,
    "manualTrades": False,
    "slippage": None,
    "quoteStreamingIntervalInSeconds": 2.5,
    "symbol": None,
    "tags": [],
    "metadata": None,
    "riskManagementApiEnabled": True,
    "metastatsApiEnabled": True,
    "allocateDedicatedIp": None,
}
ALWAYS_SHOWN = ("symbol", "allocateDedicatedIp")  # as null: a client reads them as keys that are there
DEPLOYMENT_STATUSES = {
    "deployed": ("DEPLOYED",),
    "undeployed": ("UNDEPLOYED", "UNDEPLOYING", "DRAFT", "CREATED"),
    "failed": ("DEPLOY_FAILED", "UNDEPLOY_FAILED", "REDEPLOY_FAILED", "DELETE_FAILED"),
}
Account = tuple[int, AccountMeta]
Test = Callable[[Account], bool]


def server_of(meta: AccountMeta) -> str:
    """The broker's server that an account is at."""
    return meta.settings.get("server") or (DEMO_SERVER if meta.demo else LIVE_SERVER)


def platform_of(meta: AccountMeta) -> str:
    """ "mt4" or "mt5"."""
    return meta.settings.get("platform") or "mt5"


def connection_status(book: Book, row: int) -> str:
    """Whether the terminal runs, and reaches the broker."""
    if book.account_meta[row].state != "DEPLOYED":
        return "DISCONNECTED"
    return "CONNECTED" if book.accounts.connected[row] else "DISCONNECTED_FROM_BROKER"


def trading_account(book: Book, row: int, region: str) -> dict[str, Any]:
    """P4. Without `primaryAccountId`: an account that has the key is taken for a replica."""
    meta = book.account_meta[row]
    roles, status = roles_of(meta), connection_status(book, row)
    settings = {**DEFAULTS, **{name: value for name, value in meta.settings.items() if name in DEFAULTS}}
    return {
        "_id": meta.id,
        "name": meta.name,
        "login": shown_login(meta) or None,
        "server": server_of(meta),
        "version": int(platform_of(meta)[2:]),
        "state": meta.state,
        "connectionStatus": status,
        "region": region,
        "copyFactoryRoles": roles,
        **{name: value for name, value in settings.items() if value is not None or name in ALWAYS_SHOWN},
        "hash": zlib.crc32(meta.id.encode()),
        "connections": connections(roles, region) if status == "CONNECTED" else [],
        "primaryReplica": True,
        "accountReplicas": [],
        "userId": meta.tenant,
        "createdAt": iso(meta.created_at),
    }


def connections(roles: list[str], region: str) -> list[dict[str, str]]:
    """The applications that work with an account that runs."""
    applications = ["MetaApi", *(f"CopyFactory {role.lower()}" for role in roles)]
    return [{"region": region, "zone": region, "application": application} for application in applications]


def selected(book: Book, tenant: str, query: Query, region: str) -> list[Account]:
    """P3: the accounts that pass the filters, oldest first."""
    tests = tests_of(book, query, region)
    accounts = [account for account in own_accounts(book, tenant) if all(test(account) for test in tests)]
    return accounts[::-1] if query.choice("sortOrder", ("asc", "desc")) == "desc" else accounts


def tests_of(book: Book, query: Query, region: str) -> list[Test]:
    """One test for each filter that was sent (2.2); unknown parameters are ignored."""
    tests: list[Test] = []
    if text := query.text("query").casefold():
        tests.append(lambda account: any(text in part.casefold() for part in texts_of(account[1])))
    if versions := query.texts("version"):
        tests.append(lambda account: platform_of(account[1])[2:] in versions)
    if types := {"cloud-g2" if kind == "cloud" else kind for kind in query.texts("type")}:
        tests.append(lambda account: account[1].settings.get("type", DEFAULTS["type"]) in types)
    if profile := query.text("provisioningProfileId"):
        tests.append(lambda account: account[1].settings.get("provisioningProfileId") == profile)
    if states := query.texts("state"):
        tests.append(lambda account: account[1].state in states)
    if statuses := query.texts("deploymentStatus"):
        wanted = {state for status in statuses for state in deployment_states(status)}
        tests.append(lambda account: account[1].state in wanted)
    if connected := query.texts("connectionStatus"):
        tests.append(lambda account: connection_status(book, account[0]) in connected)
    if regions := query.texts("region"):
        tests.append(lambda account: region in regions)
    if roles := set(query.texts("copyFactoryRoles")):
        tests.append(lambda account: bool(roles & set(roles_of(account[1]))))
    return tests


def deployment_states(status: str) -> tuple[str, ...]:
    """The states that a deployment status stands for."""
    states = DEPLOYMENT_STATUSES.get(status)
    if states is None:
        raise invalid("deploymentStatus", status[:200], "must be one of " + ", ".join(DEPLOYMENT_STATUSES))
    return states


def texts_of(meta: AccountMeta) -> tuple[str, ...]:
    """What a search looks at."""
    return meta.id, meta.name, server_of(meta), shown_login(meta)
