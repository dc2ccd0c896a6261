"""The Celery application and the one table of schedules, each with the reason for its pace."""

import contextlib
import os

from celery import Celery
from celery.signals import heartbeat_sent, worker_ready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")

app = Celery("copyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
@heartbeat_sent.connect
def show_life(**_) -> None:
    """Say that a worker is alive: when it is ready and then every two seconds."""
    import redis

    from copyportal import heartbeats

    with contextlib.suppress(redis.RedisError):  # the worker reconnects by itself; /readyz sees the age meanwhile
        heartbeats.beat_for("worker")
