"""Where clients are told to go (contract, 1.2 and 1.4; account APIs, 1.1), and whether the server is alive (E7)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.core.vital_signs import Trouble
from copying.backend.http.options import service
from copying.backend.http.replies import reply
from copying.contract.hosts import PROVISIONING, TERMINAL
from copying.contract.provisioning import ClientApiServer


async def regions(request: Request) -> Response:
    """The one region there is."""
    return reply([service(request).options.region])


async def client_api(request: Request) -> Response:
    """P2: the domain under which `copyfactory-api-v1.{region}.{domain}` is found: the one the client asked under.

    hostname: of the terminal API, the same for REST and for sockets, of which there are none.
    """
    api, _, asked = request.headers.get("host", "").strip().lower().partition(".")
    is_named = api == PROVISIONING and asked
    return reply(ClientApiServer(domain=asked if is_named else service(request).options.domain, hostname=TERMINAL))


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
