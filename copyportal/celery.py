"""The Celery application and the one table of schedules, each with the reason for its pace."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")

app = Celery("copyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
