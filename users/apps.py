"""Django application: people, workspaces, roles and connections."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"

    def ready(self) -> None:
        from users import sessions

        sessions.listen()
