"""Brings an economic calendar into the running embedded backend (docs/copying.md, "News")."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from copying.backend import tokens

JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*[{\[]")  # a calendar in JSON begins so, one in CSV with its head
PATH = "/users/current/news-calendar"
UNKNOWN = "Whether the calendar was replaced is not known; importing it again does no harm."


def reason_of(answer: httpx.Response) -> str:
    """What a refusal says, for people."""
    try:
        text = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = f"{answer.status_code} {answer.text}"
    return f"{text[:500].rstrip('.')}."


class Command(BaseCommand):
    """Replaces the calendar of a tenant, as `PUT /users/current/news-calendar` does."""

    help = "Import an economic calendar (CSV or JSON) into the running embedded backend."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="time,currency,priority[,breaking][,title] as CSV, or JSON")
        parser.add_argument("--tenant", default="local", help="whose calendar")
        parser.add_argument("--url", default="", help="the backend's address; unset: its port on this machine")

    def handle(self, *args: object, file: Path, tenant: str, url: str, **options: object) -> None:
        base = (url or f"http://127.0.0.1:{settings.BACKEND_PORT}").rstrip("/")
        try:
            content, token = file.read_bytes(), tokens.issue(tenant)
            kind = "application/json" if JSON.match(content) else "text/csv"
            answer = httpx.put(
                f"{base}{PATH}", content=content, headers={"auth-token": token, "content-type": kind}, timeout=30
            )
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise CommandError(f"The backend at {base} cannot be reached: {error}") from error
        except httpx.HTTPError as error:
            cause = str(error) or type(error).__name__
            raise CommandError(f"The backend at {base} did not answer: {cause}. {UNKNOWN}") from error
        if answer.is_server_error:
            raise CommandError(f"The backend failed: {reason_of(answer)} {UNKNOWN}")
        if not answer.is_success:
            raise CommandError(f"The backend refused the calendar: {reason_of(answer)} Nothing was changed.")
        self.stdout.write(f"The calendar of {tenant} was replaced.")
