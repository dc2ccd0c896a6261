"""Django's own command, as the owner of the tables; the application's role gets its rights with new ones afterwards."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from copyportal import database_roles


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with database_roles.as_owner():
            super().handle(*args, **options)
            if not database_roles.are_two() or options["plan"] or options["check_unapplied"]:
                return
            try:
                database_roles.refresh()
            except database_roles.RolesFailed as error:
                raise CommandError(str(error)) from None
