"""The Jinja2 environment of the pages: globals and filters that show numbers, times and states."""

from django.templatetags.static import static
from django.urls import reverse
from jinja2 import Environment, StrictUndefined


def environment(**options) -> Environment:
    """Build the environment that Django's Jinja2 backend uses."""
    env = Environment(**{**options, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True})
    env.globals.update(static=static, url=reverse)
    return env
