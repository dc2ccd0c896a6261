"""Empties the folder of run-time data, like `make reset`."""

from __future__ import annotations

import os
import sys

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Empty the folder of run-time data (VAR) after asking."
    requires_system_checks = []

    def add_arguments(self, parser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args, yes: bool, **options) -> None:
        words = ["--yes"] if yes else []
        os.execv(sys.executable, [sys.executable, "-m", "copyportal.services", "reset", *words])
