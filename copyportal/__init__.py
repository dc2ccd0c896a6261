"""Wiring of the portal: settings, addresses, background tasks and processes. Nothing imports from here."""

from copyportal.celery import app as celery_app

__all__ = ["celery_app"]
