"""What tests of people share: mails that tasks send, at once."""

import contextlib

import pytest

from copyportal.celery import app


@pytest.fixture
def tasks_run(django_capture_on_commit_callbacks, monkeypatch):
    """A context in which tasks run when the request is over."""
    app.finalize()
    assert not app.conf.task_always_eager  # read once, so that what is set below is not overwritten by the settings
    for setting in ("task_always_eager", "task_eager_propagates"):
        monkeypatch.setitem(app.conf.changes, setting, True)

    @contextlib.contextmanager
    def run():
        with django_capture_on_commit_callbacks(execute=True):
            yield

    return run


@pytest.fixture
def link_in():
    """A function that finds the address in a mail."""
    return lambda mail: next(word for word in mail.body.split() if word.startswith("http"))
