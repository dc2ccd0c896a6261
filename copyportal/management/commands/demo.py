"""Makes the demo workspace, or says how to sign in to it.

`demo history` builds twelve months of copied trades and must run before the backend; `demo people` needs the running
backend; `demo --describe` prints the sign-ins. `make up` calls all three.
"""

from __future__ import annotations

import asyncio

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from copyportal import demo

TENANT = "local"


class Command(BaseCommand):
    help = "Make the demo workspace (steps: history, people), or describe how to sign in to it."

    def add_arguments(self, parser) -> None:
        parser.add_argument("step", nargs="?", choices=["history", "people"])
        parser.add_argument("--days", type=int, help="How long the history is (default: twelve months).")
        parser.add_argument("--describe", action="store_true", help="Print the sign-ins.")

    def handle(
        self, *args, step: str | None = None, days: int | None = None, describe: bool = False, **options
    ) -> None:
        if describe:
            self.stdout.write(demo.describe())
        elif step == "history":
            self._make_history(days)
        elif step == "people":
            try:
                demo.invite_people(self.stdout.write, now=timezone.now())
            except demo.DemoFailed as error:
                raise CommandError(str(error)) from error
        else:
            raise CommandError("Name a step (history or people) or --describe.")

    def _make_history(self, days: int | None) -> None:
        from copying.backend.demo.prepare import DAYS, prepare_demo

        asyncio.run(prepare_demo(TENANT, timezone.now(), self.stdout.write, days=days or DAYS))
