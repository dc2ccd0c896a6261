"""What saving documents would do at once (E11, beyond the contract). Answers from memory; changes nothing."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from copying.backend.http.options import service
from copying.backend.http.parameters import body_bytes
from copying.backend.http.replies import reply
from copying.backend.http.simulations import KINDS, changed_configuration
from copying.backend.simulation import scene_of
from copying.backend.simulation.immediate import immediate_effects
from copying.backend.state.errors import invalid
from copying.contract.validation import load_json


async def list_immediate_effects(request: Request) -> Response:
    """E11: `changes` as a simulation takes them."""
    tenant, here = request.scope["tenant"], service(request)
    asked = load_json(await body_bytes(request))
    if not isinstance(asked, dict):
        raise invalid("", None, "The body must be an object")
    book, changes = here.core.book, asked.get("changes")
    laid = changed_configuration(book, tenant, scene_of(book, tenant).configuration, changes)
    documents = {name: {key: getattr(laid, name).get(key) for key in (changes or {}).get(name) or {}} for name in KINDS}
    return reply(immediate_effects(book, tenant, documents))
