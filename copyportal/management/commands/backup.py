"""Makes a backup of the database: a dump and what proves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from copyportal import backups, database_roles
from copyportal.services.servers import CannotStart


class Command(BaseCommand):
    help = "Write a backup of the database, with rows and digests of every table, into a folder; processes may run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="a folder on another disk than the database, best another machine's"
        )
        parser.add_argument("--keep", type=int, default=0, help="how many backups remain in the folder; 0: all")

    def handle(self, *args: Any, folder: Path, keep: int, **options: Any) -> None:
        if keep < 0:
            raise CommandError("--keep is a number of backups, or 0 for all of them.")
        try:
            with database_roles.as_owner():
                path = backups.back_up(folder, now=timezone.now(), keep=keep)
        except (backups.BackupFailed, CannotStart) as error:
            raise CommandError(str(error)) from None
        rows = sum(rows for rows, _ in backups.Manifest.read(path).tables.values())
        self.stdout.write(f"{path}: {rows} rows, {path.stat().st_size} bytes.")
        self.stdout.write("SECRET_KEY and FIELD_KEYS are not in it: keep them elsewhere.")
