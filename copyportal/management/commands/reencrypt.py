"""Encrypts every stored secret with the newest key, so that older keys can be removed from FIELD_KEYS."""

from __future__ import annotations

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from copying.backend.settings.sealing import reseal_tables
from users.second_factor import reencrypt_factors
from users.secrets import EncryptedTextField


class Command(BaseCommand):
    help = "Encrypt every stored secret anew with the first key of FIELD_KEYS."

    def handle(self, *args, **options) -> None:
        for model in apps.get_models():
            names = [field.attname for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
            if names:
                self.stdout.write(f"{model._meta.label}: {reencrypt(model, names)} rows")
        self.stdout.write(f"second factors: {reencrypt_factors()} rows")
        with transaction.atomic(), connection.cursor() as cursor:
            self.stdout.write(f"journal and snapshots of the backend: {reseal_tables(cursor)} rows")


@transaction.atomic
def reencrypt(model, names: list[str]) -> int:
    """Write the named fields of every row back, decrypted by whichever key fits; return the number of rows."""
    rows = model._base_manager.select_for_update().only("pk", *names)
    count = 0
    for row in rows.iterator(chunk_size=500):
        row.save(update_fields=names)
        count += 1
    return count
