"""Starts everything, like `make up`."""

from __future__ import annotations

import os
import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Start all processes of the portal and stay until Ctrl-C (what `make up` does after making .venv)."
    requires_system_checks = []

    def handle(self, *args, **options) -> None:
        os.execv(sys.executable, [sys.executable, "-m", "copyportal.services", "up"])
