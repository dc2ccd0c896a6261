"""Django application: people, workspaces, roles and connections."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    name = "users"
