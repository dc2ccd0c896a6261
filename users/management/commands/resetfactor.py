"""Takes a person's second factor away at once: for whoever runs the installation, after making sure who asks."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from users.factors import has_factor
from users.models import User
from users.second_factor import reset_now


class Command(BaseCommand):
    help = "Take a person's second factor and sessions away; it is noted in the audit log, and mailed to them."

    def add_arguments(self, parser) -> None:
        parser.add_argument("email")

    def handle(self, *args, email: str, **options) -> None:
        user = User.objects.filter(email=email.lower()).first()
        if user is None:
            raise CommandError(f"Nobody signs in with {email}.")
        if not has_factor(user):
            raise CommandError(f"{email} has no second factor.")
        reset_now(user, by=None)
        self.stdout.write(f"{email} signs in with the password alone, until they set a second factor up again.")
