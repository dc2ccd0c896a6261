"""Prints a token for the embedded backend and makes its tenant known."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from copying.backend import tokens
from copying.models import Tenant


class Command(BaseCommand):
    help = "Print an API token of the embedded copying backend."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--tenant", default="local", help="whose token: letters, digits, '_' and '-'")

    def handle(self, *args, tenant: str, **options) -> None:
        try:
            token = tokens.issue(tenant)
        except ValueError as error:
            raise CommandError(str(error)) from error
        Tenant.objects.get_or_create(pk=tenant, defaults={"name": tenant})
        self.stdout.write(token)
