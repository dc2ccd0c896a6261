"""Addresses of pages for whoever reads them elsewhere: in mails, chats and programs."""

from __future__ import annotations

from django.conf import settings


def portal_link(path: str, *, before: str = "") -> str:
    """The whole address of a page, after `before`; empty where the installation does not say its own address.

    Never made of what a request says: whoever sends a request chooses its Host.
    """
    return f"{before}{settings.PORTAL_URL.rstrip('/')}{path}" if settings.PORTAL_URL else ""
