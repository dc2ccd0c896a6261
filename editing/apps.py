"""Django application: edits of objects at a copying backend, from form to undo."""

from django.apps import AppConfig


class EditingConfig(AppConfig):
    name = "editing"
