"""Django application: long work as rows that workers claim."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from jobs import exports  # noqa: F401  # registers its kind
