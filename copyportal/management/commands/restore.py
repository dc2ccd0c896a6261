"""Puts a backup back, or rehearses it beside the running database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from copyportal import backups, database_roles
from copyportal.services.servers import CannotStart


class Command(BaseCommand):
    help = (
        "Restore a backup that `backup` made and compare every table with it; --rehearse leaves the database as it is."
    )
    requires_system_checks: list[str] = []  # the database may be empty

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dump", type=Path)
        parser.add_argument("--rehearse", action="store_true", help="restore into a database of its own and remove it")
        parser.add_argument("--replace", action="store_true", help="what the database holds now is lost")

    def handle(self, *args: Any, dump: Path, rehearse: bool, replace: bool, **options: Any) -> None:
        if rehearse and replace:
            raise CommandError("--rehearse replaces nothing: give one of the two.")
        try:
            with database_roles.as_owner():
                different = backups.rehearse(dump) if rehearse else backups.restore(dump, replaces=replace)
        except (backups.BackupFailed, CannotStart) as error:
            raise CommandError(str(error)) from None
        tables = backups.Manifest.read(dump).tables
        if different:
            raise CommandError(
                f"{len(different)} of {len(tables)} tables differ from the backup: {', '.join(different)}."
            )
        rows = sum(rows for rows, _ in tables.values())
        self.stdout.write(f"All {len(tables)} tables with {rows} rows are as they were backed up.")
        if not rehearse:
            self.stdout.write("Next: manage.py migrate, manage.py doctor, then start the processes.")
