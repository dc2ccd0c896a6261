"""Prints a token for the embedded backend and makes its tenant known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from copying.backend import tokens
from copying.models import BackendScope, BackendToken, Tenant

MOST_LETTERS = 80


class Command(BaseCommand):
    help = "Print an API token of the embedded copying backend."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--tenant", default="local", help="whose token: letters, digits, '_' and '-'")
        parser.add_argument("--name", default="", help="what it is for: it is listed then, and can be revoked")
        parser.add_argument("--scope", choices=BackendScope.values, help="with a name: read, or trade (as without one)")
        parser.add_argument("--days", type=int, help="with a name: how long it works; without: until it is revoked")

    def handle(self, *args, tenant: str, name: str, scope: str | None, days: int | None, **options: Any) -> None:
        if (scope or days is not None) and not name:
            raise CommandError("Only a token with a name has a scope or an end: add --name.")
        if days is not None and not 1 <= days <= 3650:
            raise CommandError("A token works for 1 to 3650 days.")
        if len(name) > MOST_LETTERS:  # cut off it could not be revoked by its name
            raise CommandError(f"A name has at most {MOST_LETTERS} letters.")
        try:
            token = tokens.issue_listed(tenant) if name else tokens.issue(tenant)
        except ValueError as error:
            raise CommandError(str(error)) from error
        owner, _ = Tenant.objects.get_or_create(pk=tenant, defaults={"name": tenant})
        if name:
            now = timezone.now()
            if owner.tokens.filter(name=name, revoked_at=None).exists():
                raise CommandError(f"{tenant} has a token called {name} already: revoke it, or choose another name.")
            BackendToken.objects.create(
                digest=tokens.digest_of(token),
                tenant=owner,
                name=name,
                scope=scope or BackendScope.TRADE,
                hint=token[-4:],
                created_at=now,
                expires_at=now + timedelta(days=days) if days is not None else None,
            )
        self.stdout.write(token)
