"""Django application: who copies what, on which terms."""

from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    name = "subscribers"

    def ready(self) -> None:
        from subscribers import targets

        targets.register()
