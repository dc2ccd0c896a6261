"""Django application: edits of objects at a copying backend, from form to undo."""

from django.apps import AppConfig


class EditingConfig(AppConfig):
    name = "editing"

    def ready(self) -> None:
        from editing import bulk_job, looking_back  # noqa: F401  # they register their kinds of jobs
