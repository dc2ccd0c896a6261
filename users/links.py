"""Addresses of pages for whoever reads them elsewhere: in mails, chats and programs."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def portal_link(path: str) -> str:
    """The whole address of a page; empty where the installation does not say its own address.

    Never made of what a request says: whoever sends a request chooses its Host.
    """
    return f"{settings.PORTAL_URL.rstrip('/')}{path}" if settings.PORTAL_URL else ""


def link_for(request: HttpRequest, path: str) -> str:
    """The whole address of a page that is handed on, as an invitation or in a mail that somebody asked for.

    Where the installation does not say its own address it is the one that the request came to (ALLOWED_HOSTS).
    """
    return portal_link(path) or request.build_absolute_uri(path)
