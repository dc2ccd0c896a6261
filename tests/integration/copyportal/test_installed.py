"""What is stored must fit the code and the keys before anything works with it."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from copyportal.installed import TAG, refuse_to_work
from tests import builders

pytestmark = pytest.mark.django_db(transaction=True)  # it looks with a connection of its own


def found():
    return [message.id for message in run_checks(tags=[TAG])]


@pytest.fixture
def newer():
    """A migration that a later version has applied."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('reporting', '9000_later', now())")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE name IN ('9000_later', '0001_renamed', '9000_gone')")


def test_the_database_of_now_fits(workspace):
    builders.connection(workspace)
    assert found() == []


@pytest.mark.usefixtures("newer")
def test_a_database_of_a_newer_version_is_refused_in_words():
    with pytest.raises(SystemCheckError, match=r"newer version of the portal \(reporting 9000_later\)"):
        call_command("check")
    with pytest.raises(SystemExit, match="restore the dump"):
        refuse_to_work()


@pytest.mark.usefixtures("newer")
def test_migrations_that_are_gone_are_not_newer():
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE django_migrations SET name = '0001_renamed' WHERE name = '9000_later';"
            "INSERT INTO django_migrations (app, name, applied) VALUES ('an_app_of_before', '9000_gone', now())"
        )
    assert found() == []


def test_keys_that_do_not_fit_are_refused_in_words(workspace, settings):
    first = settings.FIELD_KEYS
    builders.connection(workspace)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(SystemCheckError, match="fits none of FIELD_KEYS"):
        call_command("check")
    settings.FIELD_KEYS = [*settings.FIELD_KEYS, *first]
    assert found() == []


def test_the_oldest_secret_counts_as_well_as_the_newest(workspace, settings):
    first = settings.FIELD_KEYS
    builders.connection(workspace)
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *first]
    builders.connection(workspace, base_url="http://127.0.0.1:10")
    settings.FIELD_KEYS = settings.FIELD_KEYS[:1]
    assert found() == ["copyportal.E008"]


def test_a_database_that_is_away_is_for_others_to_report(monkeypatch):
    monkeypatch.setattr(
        "django.db.backends.postgresql.base.DatabaseWrapper.get_connection_params",
        lambda _: {"host": "127.0.0.1", "port": 9, "dbname": "x"},
    )
    assert found() == []
