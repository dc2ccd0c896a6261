"""The Jinja2 environment of the pages: globals and filters that show numbers, times and states."""

import json
from urllib.parse import urlencode

from django.templatetags.static import static
from django.urls import reverse
from django_htmx.jinja import htmx_script
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from copyportal import display

SPRITE = "vendor/tabler-icons/3.49.0/sprite.svg"


def icon(name: str, title: str = "") -> Markup:
    """An icon of the sprite; decoration unless it has a title."""
    label = Markup('role="img" aria-label="{}"').format(title) if title else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="{}#{}"/></svg>').format(label, static(SPRITE), name)


def address(name: str, *arguments, **query) -> str:
    """The address of a named page, with a query string when there is one."""
    path = reverse(name, args=arguments)
    query = {key: value for key, value in query.items() if value not in ("", None)}
    return f"{path}?{urlencode(query)}" if query else path


def as_json(value) -> str:
    """JSON for a data attribute: the template escapes it."""
    return json.dumps(value, separators=(",", ":"), default=str)


def environment(**options) -> Environment:
    """Build the environment that Django's Jinja2 backend uses."""
    env = Environment(**{**options, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True})
    env.globals.update(static=static, url=address, icon=icon, htmx_script=htmx_script)
    env.globals.update(display.GLOBALS)
    env.filters.update(display.FILTERS, as_json=as_json)
    return env
