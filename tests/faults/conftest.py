"""What tests of the backend's faults share: its tables, empty before and after."""

from __future__ import annotations

import psycopg
import pytest

from copying.backend.http.options import database_url

TABLES = (
    "journalentry",
    "snapshot",
    "progress",
    "transactionrecord",
    "userlogrecord",
    "stopoutrecord",
    "decisionrecord",
    "accountsnapshotrecord",
    "accountdealrecord",
    "signalrecord",
)


@pytest.fixture
def tables(django_db_setup, django_db_blocker):
    """Empty tables of the backend, emptied again afterwards."""
    with django_db_blocker.unblock():
        url = database_url()
    truncate = "TRUNCATE " + ", ".join(f"copying_{table}" for table in TABLES)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(truncate)
        yield url
        connection.execute(truncate)
