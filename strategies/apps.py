"""Django application: what is offered for copying."""

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    name = "strategies"

    def ready(self) -> None:
        from accounts.uses import register_uses
        from strategies import targets
        from strategies.accounts import strategies_on

        targets.register()
        register_uses("strategies", strategies_on)
