"""Makes the application's database role where it is missing, and gives it its rights anew."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from copyportal import database_roles


class Command(BaseCommand):
    help = "Give the role of DATABASE_URL the application's rights and no others, as the role of MIGRATE_DATABASE_URL."

    def handle(self, *args: Any, **options: Any) -> None:
        if not database_roles.are_two():
            raise CommandError(
                "Owner and application are one role: name the owner in MIGRATE_DATABASE_URL and another role in"
                " DATABASE_URL (docs/operations.md, “Two database roles”)."
            )
        try:
            number = database_roles.refresh()
        except database_roles.RolesFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"The role {settings.APPLICATION_ROLE} has its rights with {number} tables, and owns nothing."
        )
