"""Django application: the copying backend: contract, client, engine and the embedded service."""

from django.apps import AppConfig


class CopyingConfig(AppConfig):
    name = "copying"
