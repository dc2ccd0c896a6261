"""Lists the tokens of the embedded backend that have a name, revokes one, or has a tenant take no others."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from copying.models import BackendToken, Tenant


class Command(BaseCommand):
    help = "List the named tokens of the embedded copying backend, or revoke one."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--tenant", default="", help="of this tenant only")
        parser.add_argument("--revoke", default="", metavar="NAME", help="end the token of this name, within seconds")
        parser.add_argument(
            "--only-listed", choices=["yes", "no"], help="yes: the tenant takes no token without a name any more"
        )

    def handle(self, *args, tenant: str, revoke: str, only_listed: str | None, **options: Any) -> None:
        if only_listed:
            self.set_strict(tenant, is_strict=only_listed == "yes")
        if revoke:
            self.revoke(tenant, revoke)
        rows = BackendToken.objects.select_related("tenant").order_by("tenant_id", "created_at")
        now = timezone.now()
        for row in rows.filter(tenant=tenant) if tenant else rows:
            state = "revoked" if row.revoked_at else "expired" if row.expires_at and row.expires_at <= now else "active"
            until = f"until {row.expires_at:%Y-%m-%d}" if row.expires_at else "without end"
            used = f"used {row.last_used_at:%Y-%m-%d %H:%M} UTC" if row.last_used_at else "not used"
            self.stdout.write(f"{row.tenant_id}  {row.name}  …{row.hint}  {row.scope}  {state}  {until}  {used}")

    def set_strict(self, tenant: str, *, is_strict: bool) -> None:
        """Raises CommandError where it would shut everybody out."""
        if not tenant:
            raise CommandError("Name the tenant: --tenant NAME.")
        lasting = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        if is_strict and not BackendToken.objects.filter(lasting, tenant=tenant, revoked_at=None).exists():
            raise CommandError(f"{tenant} has no token with a name that works: make one first (backendtoken --name).")
        if not Tenant.objects.filter(pk=tenant).update(takes_listed_only=is_strict):
            raise CommandError(f"There is no tenant {tenant}.")

    def revoke(self, tenant: str, name: str) -> None:
        """Raises CommandError where no token, or more than one, has the name."""
        rows = BackendToken.objects.filter(name=name, revoked_at=None)
        rows = rows.filter(tenant=tenant) if tenant else rows
        if rows.count() != 1:
            words = "No token" if not rows else "More than one token"
            raise CommandError(f"{words} that works is called {name}: look at the list, and name the tenant.")
        rows.update(revoked_at=timezone.now())
