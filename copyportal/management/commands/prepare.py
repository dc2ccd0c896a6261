"""Brings the database up to this version; cheap when there is nothing to do.

The last line of the output is JSON for the supervisor: what its next steps depend on.
"""

from __future__ import annotations

import io
import json

import psycopg
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from copyportal import database_roles, demo

LOCK = 0x636F7079  # one migration at a time, whoever starts it


class Command(BaseCommand):
    help = "Apply outstanding migrations."

    def handle(self, *args, **options) -> None:
        with database_roles.as_owner():
            self._bring_up()
        token = io.StringIO()
        call_command("backendtoken", stdout=token)
        people = get_user_model().objects
        state = {
            "token": token.getvalue().strip(),
            "has_people": people.exists(),
            "wants_demo": not people.exists() or demo.is_unfinished(),
            "has_demo": people.filter(memberships__workspace__is_demo=True).exists(),
        }
        self.stdout.write(json.dumps(state))

    def _bring_up(self) -> None:
        """Migrate, and give the application's role its rights."""
        try:  # the pool would wait ten seconds and then hide the reason
            psycopg.connect(**{**connection.get_connection_params(), "connect_timeout": 5}).close()
        except psycopg.OperationalError as error:
            raise CommandError(" ".join(str(error).split())) from error
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                self.stdout.write(f"applying {len(plan)} migrations")
                call_command("migrate", interactive=False, verbosity=0)
            elif database_roles.are_two():  # another installation may have restored without it
                try:
                    database_roles.refresh()
                except database_roles.RolesFailed as error:
                    raise CommandError(str(error)) from None
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
