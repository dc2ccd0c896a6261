"""Every address of the urlconf that can be asked for: with nothing, or with the number of an object that is there.

For what tries or times all pages: a new page below an address that is known here is tried without being named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from django.urls import URLPattern, URLResolver, get_resolver

# whose pages they are: the first expression that fits says which object an address is about
OBJECTS = (
    (r"^strategies/<int:pk>/", "strategy"),
    (r"^subscribers/<int:pk>/", "subscriber"),
    (r"^commissions/periods/<int:pk>/", "period"),
    (r"^commissions/payments/<int:pk>/", "payment"),
    (r"^statements/<int:pk>/", "statement"),
    (r"^commissions/runs/<int:pk>/", "statement"),
    (r"^commissions/mail/<int:pk>/", "mail"),
    (r"^commissions/journal/<int:pk>/", "export"),
    (r"^disputes/<int:pk>/", "dispute"),
    (r"^commissions/approvals/<int:pk>/", "approval"),
    (r"^decisions/<int:pk>/", "decision"),
    (r"^positions/<int:pk>/", "signal"),
    (r"^positions/all/<int:pk>/", "position"),
    (r"^jobs/<int:pk>/", "job"),
    (r"^stopouts/<int:pk>/", "stopout"),
    (r"^trading-accounts/<int:pk>/", "account"),
    (r"^settings/members/<int:pk>/", "member"),
    (r"^settings/connections/<int:pk>/", "connection"),
)
# they act, lead elsewhere, or belong to the session that they would end
NOT_ASKED = re.compile(r"^(accounts/(logout|login|signup)|switch/|theme/|setup/|invitation/|leave/|static/|api/)")


def routes(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Every address of the urlconf as it is written there."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        elif isinstance(pattern, URLPattern) and "(?P" not in route:
            yield route


def address_of(route: str, objects: Mapping[str, object]) -> str:
    """Where it is asked for; with a "<" in it where it needs an object that is not among these."""
    for expression, kind in OBJECTS:
        if kind in objects and re.match(expression, route):
            route = route.replace("<int:pk>", str(objects[kind]))
    for name, kind in (
        ("<int:strategy_pk>", "strategy"),
        ("<int:subscriber_pk>", "subscriber"),
        ("<str:strategy_id>", "strategy_id"),
    ):
        route = route.replace(name, str(objects[kind]))
    return f"/{route}"


def addresses(objects: Mapping[str, object]) -> Iterator[str]:
    """Every address that can be asked for without further knowledge; objects: their numbers by what they are."""
    for route in sorted(set(routes())):
        address = address_of(route, objects)
        if "<" not in address and not NOT_ASKED.match(route):
            yield address
