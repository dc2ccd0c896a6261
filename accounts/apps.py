"""Django application: trading accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts import acts  # noqa: F401  # registers its kind of jobs
