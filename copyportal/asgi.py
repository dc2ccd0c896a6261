"""The portal's web process as an ASGI application: the front that keeps slow clients away from the pages (front.py)."""

import contextlib
import resource
from typing import Any

from copyportal.wsgi import application as pages  # first: it sets Django up

from copyportal import hosts  # isort: skip
from copyportal.front import Front, Limits  # isort: skip


def allow_many_files() -> None:
    """Each connection is a file; the usual limit of 1,024 would be reached long before memory is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


allow_many_files()
front = Front(pages, Limits())


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The front; a process that begins to serve shows that its machine lives."""
    if scope["type"] == "lifespan":
        hosts.begin("web")
    await front(scope, receive, send)
