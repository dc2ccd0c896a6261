"""A page, a task and a line of the log that fail, with secrets wherever they could be."""

from __future__ import annotations

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "copyportal.settings"

import django
from django.http import HttpRequest, HttpResponse
from django.urls import path


def fails(request: HttpRequest, token: str) -> HttpResponse:
    password = request.POST["password"]
    raise ValueError(f"{password} {token} of dora@example.com")


urlpatterns = [path("invitation/<str:token>/", fails)]

if __name__ == "__main__":
    django.setup()
    import sentry_sdk
    import structlog
    from celery import shared_task
    from django.db import IntegrityError
    from django.test import Client, override_settings

    from copyportal.celery import app

    @shared_task
    def failing_task(password: str) -> None:
        raise IntegrityError("a row is there already\nDETAIL: Key (email)=(dora@example.com)")

    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[], ALLOWED_HOSTS=["testserver"]):
        headers = {"authorization": "Bearer SECRET-header"}
        page = Client(raise_request_exception=False, headers=headers)
        page.cookies["sessionid"] = "SECRET-cookie"
        page.post("/invitation/SECRET-path/?q=SECRET-query", {"password": "SECRET-body"})
    app.conf.task_always_eager = True
    failing_task.apply(["SECRET-argument"])
    log = structlog.get_logger("reporting")
    try:
        raise RuntimeError("SECRET-value")
    except RuntimeError:
        log.exception("sync failed", connection=7, token="SECRET-token")
    log.warning("SECRET-warning")
    sentry_sdk.flush(10)
    sys.exit(0)
