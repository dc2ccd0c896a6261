"""Django application: history, analytics, commissions and downloads."""

from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "reporting"
