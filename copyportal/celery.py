"""The Celery application and the one table of schedules, each with the reason for its pace."""

import contextlib
import logging
import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, heartbeat_sent, task_postrun, task_prerun, worker_ready, worker_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")

logging.captureWarnings(True)  # Celery's own, too, are lines of the log
app = Celery("copyportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# What is mirrored how often, and why: reporting/sync/run.py, PACES. A message that nobody took before the next one
# is sent expires, so that a worker that was away finds no heap of them.
app.conf.beat_schedule = {
    # the shortest pace of any sync, and how long a sync waits at most after its worker was killed beyond its lease
    "sweep": {"task": "reporting.tasks.sweep", "schedule": 5.0, "options": {"expires": 5}},
    # long work as rows, accrual every 15 s among it: what a killed worker left is taken over after its lease
    "sweep-jobs": {"task": "jobs.tasks.sweep_jobs", "schedule": 5.0, "options": {"expires": 5}},
    # results stay for days, so an hour more or less is nothing
    "clean-jobs": {"task": "jobs.tasks.clean_jobs", "schedule": 3_600.0, "options": {"expires": 600}},
    # a change whose answer was lost is settled a minute after it was sent; nobody else saves the same object before
    "settle-changes": {"task": "editing.tasks.settle_changes", "schedule": 10.0, "options": {"expires": 10}},
    # who queues a mail wakes a worker; this is for those that are due again, and for a broker that was away
    "send-mails": {"task": "users.tasks.send_mails", "schedule": 10.0, "options": {"expires": 10}},
    # who tells of an event wakes a worker; this is for those that are due again, and for a broker that was away
    "deliver-events": {"task": "users.tasks.deliver_events", "schedule": 10.0, "options": {"expires": 10}},
    # looks back for hours, so a turn that is missed loses nothing
    "collect-events": {"task": "reporting.tasks.collect_events", "schedule": 15.0, "options": {"expires": 15}},
    # a stopout is told within half a minute; what is still so is found by the next turn
    "collect-notices": {"task": "reporting.tasks.collect_notices", "schedule": 20.0, "options": {"expires": 20}},
    # packs what is due by people's hours, and sends again what was not taken
    "send-notices": {"task": "users.tasks.send_notices", "schedule": 10.0, "options": {"expires": 10}},
    # they are kept for a month, on a day more or less
    "forget-events": {"task": "users.tasks.forget_events", "schedule": 86_400.0, "options": {"expires": 3600}},
    # reminders count days; an hour later on the same day is the same reminder
    "remind": {"task": "reporting.tasks.remind", "schedule": 3_600.0, "options": {"expires": 600}},
    # published once a business day; the row says when it is due, so a restart of beat misses none
    "fetch-reference-rates": {
        "task": "reporting.tasks.fetch_reference_rates",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    # reads the whole log; a day is how old the end is that the program's log keeps apart
    "check-audit": {"task": "users.tasks.check_audit", "schedule": 86_400.0, "options": {"expires": 3600}},
    # sessions that ended are worth nothing; once a day is often enough
    "clear-sessions": {"task": "users.tasks.clear_sessions", "schedule": 86_400.0, "options": {"expires": 3600}},
}


@task_prerun.connect
def begin_task(task_id: str, task: Any, **_: Any) -> None:
    """What a task does is done by it, for the audit log."""
    from users.acting import Origin, acting

    task.request.origin = contextlib.ExitStack()
    task.request.origin.enter_context(acting(Origin("task", task.name)))


@task_postrun.connect
def end_task(task_id: str, task: Any, **_: Any) -> None:
    """The task is over."""
    task.request.origin.close()


@worker_ready.connect
@heartbeat_sent.connect
def show_life(**_) -> None:
    """Say that a worker is alive: when it is ready and then every two seconds."""
    import redis

    from copyportal import heartbeats, hosts

    with contextlib.suppress(redis.RedisError):  # the worker reconnects by itself; /readyz sees the age meanwhile
        heartbeats.beat_for("worker")
        hosts.show("worker")


@worker_shutdown.connect
def take_life_back(**_) -> None:
    """A worker that stops in order is not missed."""
    import redis

    from copyportal import hosts

    with contextlib.suppress(redis.RedisError):
        hosts.forget("worker")


@beat_init.connect
def watch_backends(sender: Any, **_: Any) -> None:
    """The beat that works looks after the backends too, in a thread of its own."""
    from copyportal import watch

    watch.begin(lambda: sender.scheduler.is_working)
