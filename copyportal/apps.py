"""Django application: the wiring, and the checks that refuse unsafe settings."""

from django.apps import AppConfig


class CopyportalConfig(AppConfig):
    name = "copyportal"

    def ready(self) -> None:
        from copyportal import checks, installed  # noqa: F401  (register themselves)
