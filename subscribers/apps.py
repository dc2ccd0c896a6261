"""Django application: who copies what, on which terms."""

from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    name = "subscribers"

    def ready(self) -> None:
        from strategies.reach import register_accounts
        from subscribers import targets
        from subscribers.models import accounts_copying

        targets.register()
        register_accounts(accounts_copying)
