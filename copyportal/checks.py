"""System checks that refuse settings with which the portal would run, but not safely.

They run before every command, when a worker starts and when the pages are loaded (wsgi.py).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from copying.client import parse_reach

SHORTEST_SECRET_KEY = 50
LOCAL_HOSTS = {"localhost", "127.0.0.1", "[::1]", "testserver", ".localhost"}
WHERE = "docs/operations.md, “Settings”"


@register(Tags.security)
def safe_settings(app_configs, **kwargs) -> list[Error]:
    """Every reason not to start with the present settings; DEBUG excuses none of them."""
    return [*_keys(), *_public(), *_backends(), *_reports()]


@register(Tags.security, deploy=True)
def mail_is_set_up(app_configs, **kwargs) -> list[Warning]:
    """`check --deploy`: without mail nobody resets a password; printed mails put links into logs."""
    if settings.MAIL_IS_SET_UP:
        return []
    text = "EMAIL_URL names no mail server: passwords cannot be reset by mail, and printed mails end in logs."
    return [Warning(text, hint=f"See {WHERE}.", id="copyportal.W001")]


def _keys() -> list[Error]:
    errors = []
    if not _secret_key():
        text = "SECRET_KEY is missing: nothing runs here yet. Start it first (make up), or set it as for production."
        errors.append(_error("E001", text))
    elif len(_secret_key()) < SHORTEST_SECRET_KEY or len(set(_secret_key())) < 10:
        errors.append(_error("E001", f"SECRET_KEY is shorter than {SHORTEST_SECRET_KEY} random characters."))
    if not settings.FIELD_KEYS:
        errors.append(_error("E002", "FIELD_KEYS is empty: tokens could not be encrypted."))
    for position, key in enumerate(settings.FIELD_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            errors.append(_error("E003", f"Key {position} of FIELD_KEYS is not a Fernet key (32 bytes as base64)."))
    return errors


def _secret_key() -> str:
    try:
        return settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's own word for an empty one
        return ""


def _public() -> list[Error]:
    errors = []
    hosts = set(settings.ALLOWED_HOSTS)
    if any(host.lstrip(".") in ("*", "") for host in hosts):
        errors.append(_error("E004", "ALLOWED_HOSTS allows every host: name the hosts people use."))
    if hosts - LOCAL_HOSTS and not settings.HTTPS:
        named = ", ".join(sorted(hosts - LOCAL_HOSTS))
        errors.append(
            _error("E005", f"HTTPS is off, but ALLOWED_HOSTS reaches beyond this machine ({named}): HTTPS=1.")
        )
    if settings.DEBUG and hosts - LOCAL_HOSTS:
        errors.append(
            _error("E009", "DEBUG shows the program's insides to everybody whom ALLOWED_HOSTS reaches: DEBUG=0.")
        )
    if any(not origin.startswith("https://") for origin in settings.CSRF_TRUSTED_ORIGINS) and settings.HTTPS:
        errors.append(_error("E006", "CSRF_TRUSTED_ORIGINS names an origin without https://."))
    if settings.PORTAL_URL and not _is_origin(settings.PORTAL_URL):
        errors.append(_error("E011", "PORTAL_URL is no address like https://portal.example.com (https with HTTPS=1)."))
    return errors


def _reports() -> list[Error]:
    if not settings.SENTRY_DSN:
        return []
    from copyportal.error_reports import is_dsn  # late: who tells nobody does not load it

    text = "SENTRY_DSN is no address like https://KEY@sentry.example.com/1."
    return [] if is_dsn(settings.SENTRY_DSN) else [_error("E012", text)]


def _is_origin(url: str) -> bool:
    """Whether links can begin with it: a scheme and a host, nothing behind."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    schemes = ("https",) if settings.HTTPS else ("http", "https")
    return has_host and parts.scheme in schemes and parts.path in ("", "/") and not (parts.query or parts.fragment)


def _backends() -> list[Error]:
    errors = []
    for entry in (*settings.PRIVATE_BACKENDS, *filter(None, [settings.BACKEND_URL])):
        try:
            parse_reach((entry,))
        except ValueError:
            errors.append(_error("E010", f"{entry!r} is no address of a backend: a network, or a host with its port."))
    return errors


def _error(number: str, text: str) -> Error:
    return Error(text, hint=f"See {WHERE}.", id=f"copyportal.{number}")


@register(Tags.security, deploy=True)
def proxies_are_counted(app_configs, **kwargs) -> list[Warning]:
    """`check --deploy`: behind a proxy that is not counted, everybody comes from the proxy's address."""
    if settings.SECURE_PROXY_SSL_HEADER is None or settings.TRUSTED_PROXIES > 0:
        return []
    text = "BEHIND_PROXY is on, but TRUSTED_PROXIES is 0: everybody seems to come from the proxy's address."
    return [Warning(text, hint=f"See {WHERE}.", id="copyportal.W002")]
