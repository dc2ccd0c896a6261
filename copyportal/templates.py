"""The Jinja2 environment of the pages: globals and filters that show numbers, times and states."""

import json
from functools import lru_cache
from urllib.parse import urlencode

from django.template.backends.utils import csrf_input
from django.templatetags.static import static
from django.urls import reverse
from django_htmx.jinja import htmx_script
from jinja2 import Environment, StrictUndefined, pass_context
from markupsafe import Markup

from copyportal import display
from jobs import exports
from jobs.states import job_state
from reporting.states import APPROVAL_STATES, DISPUTE_STATES, mail_state, statement_state, sync_state
from strategies.states import STRATEGY_STATES, strategy_state
from subscribers.states import ACCOUNT_STATES
from users import once

SPRITE = "vendor/tabler-icons/3.49.0/sprite.svg"
# a page asks 50 to 150 times for addresses that never change while a process lives: remembered, they cost a tenth
remembered = lru_cache(maxsize=16_384)
path_of = remembered(lambda name, arguments: reverse(name, args=arguments))
file_of = remembered(static)


@lru_cache(maxsize=1_024)
def icon(name: str, title: str = "") -> Markup:
    """An icon of the sprite; decoration unless it has a title."""
    label = Markup('role="img" aria-label="{}"').format(title) if title else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" {}><use href="{}#{}"/></svg>').format(label, file_of(SPRITE), name)


def address(name: str, *arguments, **query) -> str:
    """The address of a named page, with a query string when there is one."""
    path = path_of(name, arguments)
    query = {key: value for key, value in query.items() if value not in ("", None)}
    return f"{path}?{urlencode(query)}" if query else path


@pass_context
def once_input(context) -> Markup:
    """The token of a form that acts once (users/once.py)."""
    request = context.get("request")
    token = once.new_token() if request is None else once.token_of(request)
    return Markup('<input type="hidden" name="{}" value="{}">').format(once.FIELD, token)


def as_json(value) -> str:
    """JSON for a data attribute: the template escapes it."""
    return json.dumps(value, separators=(",", ":"), default=str)


def environment(**options) -> Environment:
    """Build the environment that Django's Jinja2 backend uses."""
    env = Environment(**{**options, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True})
    env.globals.update(static=file_of, url=address, icon=icon, htmx_script=htmx_script, once_input=once_input)
    env.globals.update(display.GLOBALS)
    env.globals.update(export_offer=exports.offer, csrf_of=csrf_input, job_state=job_state)
    env.globals.update(mail_state=mail_state, statement_state=statement_state, sync_state=sync_state)
    env.globals.update(dispute_states=DISPUTE_STATES, approval_states=APPROVAL_STATES)
    env.globals.update(strategy_state=strategy_state, strategy_states=STRATEGY_STATES, account_states=ACCOUNT_STATES)
    env.filters.update(display.FILTERS, as_json=as_json)
    return env
