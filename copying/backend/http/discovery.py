"""Where clients are told to go (contract, 1.2 and 1.4), and whether the server is alive (E7)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.core.vital_signs import Trouble
from copying.backend.http.options import service
from copying.backend.http.parameters import path_id
from copying.backend.http.replies import reply
from copying.backend.state.errors import not_found

from . import reads

PROVISIONING = "mt-provisioning-api-v1."


async def regions(request: Request) -> Response:
    """The one region there is."""
    return reply([service(request).options.region])


async def client_api(request: Request) -> Response:
    """The domain under which `copyfactory-api-v1.{region}.{domain}` is found: the one the client asked under."""
    host = request.headers.get("host", "")
    domain = host.removeprefix(PROVISIONING) if host.startswith(PROVISIONING) else service(request).options.domain
    return reply({"domain": domain, "hostname": PROVISIONING.rstrip(".")})


async def account(request: Request) -> Response:
    """The region and copying roles of an account of the caller."""
    account_id = path_id(request, "account_id", "Account")
    book, tenant = service(request).core.book, request.scope["tenant"]
    is_provider = any(strategy["accountId"] == account_id for strategy in reads.strategies(book, tenant))
    is_subscriber = reads.subscriber(book, tenant, account_id) is not None
    known = reads.account(book, tenant, account_id)
    if known is None and not is_provider and not is_subscriber:
        raise not_found("Account")
    roles = ["PROVIDER"] * is_provider + ["SUBSCRIBER"] * is_subscriber
    return reply(
        {
            "_id": account_id,
            "name": (known or {}).get("name", ""),
            "region": service(request).options.region,
            "state": "DEPLOYED",
            "connectionStatus": "CONNECTED" if reads.is_connected(book, account_id) else "DISCONNECTED",
            "copyFactoryRoles": roles,
        }
    )


async def health(request: Request) -> Response:
    """E7: alive, how far the tables are behind the journal, and what is wrong: clock, journal, prices, records.

    degraded: everything is taken, some of it late. unavailable (503): new signals are refused or cannot be kept.
    """
    core = service(request).core
    body = {"status": "ok", "sequence": core.sequence, "projected": core.projected}
    troubles = core.signs.troubles(core.sequence, core.projected)
    if clock := core.clock.trouble(core.book.time):
        troubles.insert(0, Trouble("clock", not core.clock.is_confirmed(), clock))
    if not troubles:
        return reply(body)
    stops = any(trouble.stops for trouble in troubles)
    body |= {
        "status": "unavailable" if stops else "degraded",
        "message": " ".join(trouble.text for trouble in troubles),
        "troubles": [trouble.kind for trouble in troubles],
    }
    return reply(body, 503 if stops else 200)
