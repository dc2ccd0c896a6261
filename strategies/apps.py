"""Django application: what is offered for copying."""

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    name = "strategies"

    def ready(self) -> None:
        from strategies import targets

        targets.register()
