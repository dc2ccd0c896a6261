"""The provisioning API of paper accounts (account APIs, 2): P3 to P18 and P23.

A new login becomes known to the paper broker with its password; from then on a wrong one is refused with E_AUTH.
Our own `balance`, `currency` and `leverage` open an account without a login: the broker gives it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http import passwords
from copying.backend.http.accounts import check_decimals
from copying.backend.http.once import carry_out
from copying.backend.http.options import present, service
from copying.backend.http.parameters import Query, document, path_id
from copying.backend.http.replies import page_of, reply
from copying.backend.http.trading_accounts import BROKER, SERVERS, selected, server_of, trading_account
from copying.backend.state.accounts import DEFAULT_DEPOSIT, DEFAULT_LEVERAGE, own_account
from copying.backend.state.commands import (
    ConfigureAccount,
    CreateAccount,
    DeleteAccount,
    MakeConfigurationLink,
    SetDeployment,
)
from copying.backend.state.errors import Refused, invalid, not_found
from copying.backend.state.trading_accounts import account_with, own_meta
from copying.contract.provisioning import SERVER_NOT_FOUND, ConfigurationLink, NewTradingAccount
from copying.symbols.instruments import ACCOUNT_CURRENCIES

CHECKS_AT_ONCE = 10_000
DAY = 86_400.0
OWN_FIELDS = {"name", "login", "password", "currency", "leverage", "balance", "keywords"}  # are no settings


async def list_accounts(request: Request) -> Response:
    """P3: a bare list, or with the header `api-version: 2` the count of all with it."""
    here, query = service(request), Query.of(request)
    book, region = here.core.book, here.options.region
    accounts = selected(book, request.scope["tenant"], query, region)
    is_classic = request.headers.get("api-version") == "2"
    rows = [{"row": row} for row, _ in accounts]
    return page_of(
        rows, query, is_classic=is_classic, shown=lambda account: trading_account(book, account["row"], region)
    )


async def get_account(request: Request) -> Response:
    """P4."""
    here = service(request)
    row = own_account(here.core.book, request.scope["tenant"], path_id(request, "account_id", "Account"))
    return reply(trading_account(here.core.book, row, here.options.region))


async def create_account(request: Request) -> Response:
    """P5. The id is ours, whatever the body says; the same transaction-id is answered with the same account."""
    asked: NewTradingAccount = await document(request, "new-trading-account")
    tenant, book = request.scope["tenant"], service(request).core.book
    check_server(asked.server)
    check_region(request, asked.region)
    currency, balance = currency_of(asked), DEFAULT_DEPOSIT if asked.balance is None else asked.balance
    check_decimals("balance", balance, currency)
    verifier = ""
    if asked.login and asked.password:
        known = account_with(book, tenant, asked.server, asked.login)
        if known is not None and known.verifier:
            await passwords.check(known.verifier, asked.password)
        verifier = await passwords.verifier_of(asked.password)
        if known is None and (wait_s := login_check(request)):
            text = "The login is being checked at the broker. Send the same request again with its transaction-id."
            return reply({"message": text}, 202, headers={"retry-after": str(wait_s)})
    is_opened = any(value is not None for value in (asked.balance, asked.currency, asked.leverage))
    is_draft = not asked.login and not is_opened
    command = CreateAccount(
        tenant=tenant,
        account_id=str(uuid.uuid4()),
        name=asked.name,
        currency=currency,
        leverage=asked.leverage or DEFAULT_LEVERAGE,
        deposit=balance,
        demo=not asked.server.endswith("-Live"),
        settings=settings_of(asked),
        login=asked.login or "",
        verifier=verifier,
        draft=is_draft,
    )
    answer = {"id": command.account_id, "state": "DRAFT" if is_draft else "DEPLOYED"}
    return await carry_out(request, command, answer, status=201)


def login_check(request: Request) -> int:
    """Seconds until it is known whether a login is good; 0: now. Only a request with a key can be asked again."""
    here, asked = service(request), getattr(request.state, "once", None)
    if asked is None or here.options.login_check_s <= 0:
        return 0
    key, now, checks = (asked.caller, asked.key), asyncio.get_running_loop().time(), here.login_checks
    while key not in checks and len(checks) >= CHECKS_AT_ONCE:
        del checks[next(iter(checks))]
    over = checks.setdefault(key, now + here.options.login_check_s)
    if over <= now:
        del checks[key]
        return 0
    return max(1, round(over - now))


def currency_of(asked: NewTradingAccount) -> str:
    """The currency of a new account."""
    currency = asked.currency or "USD"
    if currency not in ACCOUNT_CURRENCIES:
        raise invalid("currency", currency, f"must be one of {', '.join(ACCOUNT_CURRENCIES)}")
    return currency


def settings_of(asked: Any) -> dict[str, Any]:
    """What is kept of a body as it was sent. Nothing of it is a secret."""
    sent = msgspec.to_builtins(asked)
    settings = {name: value for name, value in sent.items() if name not in OWN_FIELDS}
    if settings.get("type") == "cloud":
        settings["type"] = "cloud-g2"
    if settings.get("allocateDedicatedIp") == "none":
        settings["allocateDedicatedIp"] = None
    if isinstance(asked, NewTradingAccount):
        absent = {"copyFactoryRoles": [], "riskManagementApiEnabled": False, "metastatsApiEnabled": False}
        settings = {**absent, **settings}
    return settings


def check_server(server: str) -> None:
    """Raises Refused with the servers that there are."""
    if server not in SERVERS:
        text = f"There is no server of the name {server[:200]!r}: choose one of details.serversByBrokers."
        details = {"code": SERVER_NOT_FOUND, "serversByBrokers": {BROKER: list(SERVERS)}}
        raise Refused(400, "ValidationError", text, details)


def check_region(request: Request, region: str | None) -> None:
    """There is one region."""
    present = service(request).options.region
    if region is not None and region != present:
        raise invalid("region", region[:200], f"must be {present}, the only region of this server")


async def update_account(request: Request) -> Response:
    """P6. An unknown id is 404: an account is made by P5."""
    account_id, tenant = path_id(request, "account_id", "Account"), request.scope["tenant"]
    book = service(request).core.book
    meta = own_meta(book, tenant, account_id)
    asked = await document(request, "trading-account")
    if asked.server != server_of(meta):
        check_server(asked.server)
    verifier = await passwords.verifier_of(asked.password) if asked.password else ""
    command = ConfigureAccount(
        tenant=tenant, account_id=account_id, settings=settings_of(asked), name=asked.name, verifier=verifier
    )
    return await carry_out(request, command)


async def delete_account(request: Request) -> Response:
    """P7."""
    account_id = path_id(request, "account_id", "Account")
    return await carry_out(request, DeleteAccount(tenant=request.scope["tenant"], account_id=account_id))


async def deploy(request: Request) -> Response:
    """P8."""
    return await carry_out(request, _deployment(request, "deploy"))


async def undeploy(request: Request) -> Response:
    """P9."""
    return await carry_out(request, _deployment(request, "undeploy"))


async def redeploy(request: Request) -> Response:
    """P10."""
    return await carry_out(request, _deployment(request, "redeploy"))


def _deployment(request: Request, action: Any) -> SetDeployment:
    account_id = path_id(request, "account_id", "Account")
    return SetDeployment(tenant=request.scope["tenant"], account_id=account_id, action=action)


async def increase_reliability(request: Request) -> Response:
    """P11."""
    return await _enable(request, {"reliability": "high"})


async def enable_risk_management(request: Request) -> Response:
    """P12."""
    return await _enable(request, {"riskManagementApiEnabled": True})


async def enable_metastats(request: Request) -> Response:
    """P13."""
    return await _enable(request, {"metastatsApiEnabled": True})


async def enable_copy_factory(request: Request) -> Response:
    """P14: all roles from now on."""
    asked = await document(request, "copy-factory-api")
    return await _enable(request, msgspec.to_builtins(asked))


async def enable_features(request: Request) -> Response:
    """P15: several at once."""
    sent = msgspec.to_builtins(await document(request, "account-features"))
    settings = {**sent.pop("copyFactoryApi", {}), **sent}
    if settings.pop("reliabilityIncreased", False):
        settings["reliability"] = "high"
    if settings.get("allocateDedicatedIp") == "none":
        settings["allocateDedicatedIp"] = None
    return await _enable(request, settings)


async def _enable(request: Request, settings: dict[str, Any]) -> Response:
    account_id = path_id(request, "account_id", "Account")
    command = ConfigureAccount(tenant=request.scope["tenant"], account_id=account_id, settings=settings)
    return await carry_out(request, command)


async def configuration_link(request: Request) -> Response:
    """P16. The secret is journalled as its digest only, so a repetition makes another link."""
    account_id, days = path_id(request, "account_id", "Account"), Query.of(request).integer("ttlInDays", 7, 1, 30)
    secret, here = secrets.token_hex(32), service(request)
    command = MakeConfigurationLink(
        tenant=request.scope["tenant"],
        account_id=account_id,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        expires_at=present(request).timestamp() + days * DAY,
    )
    await here.core.submit(command)
    address = f"{here.options.public_url}/configure-trading-account-credentials/{account_id}/{secret}"
    return reply(ConfigurationLink(configuration_link=address))


async def list_replicas(request: Request) -> Response:
    """P17: there is one region, so there are none."""
    own_account(service(request).core.book, request.scope["tenant"], path_id(request, "account_id", "Account"))
    return reply([])


async def no_replica(request: Request) -> Response:
    """P18 and P20 to P22."""
    raise not_found("Replica")


async def create_replica(request: Request) -> Response:
    """P19: the only region is the one that the account itself runs in."""
    await list_replicas(request)
    region = service(request).options.region
    raise invalid("region", None, f"must differ from {region}, where the account runs; this server has no other region")


async def search_servers(request: Request) -> Response:
    """P23: the servers whose name or broker's name has the text in it."""
    if request.path_params["version"] not in ("4", "5"):
        raise not_found("Version")
    text = Query.of(request).text("query").casefold()
    names = [name for name in SERVERS if text in name.casefold() or text in BROKER.casefold()] if text else []
    return reply({BROKER: names} if names else {})
