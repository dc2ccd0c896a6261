"""The application's role: it may do what the product does with the books, and nothing that undoes them."""

import re

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.db.utils import Error
from django.utils import timezone

from copyportal import database_roles
from copyportal.management.commands import doctor
from reporting.models import BillingPeriod
from users.models import AuditEntry
from users.services import record_audit

pytestmark = pytest.mark.django_db
ROLE = "copyportal_tried"
# tables of `reporting` whose rows may be changed and removed: mirrors, sums, settings, and what is worked out again
CHANGED = {
    "creditpool",
    "accountpause",
    "bookkeepingsettings",
    "equitysum",
    "equitymember",
    "billingidentity",
    "clientrecord",
    "accrualstate",
    "mirroredsignal",
    "openposition",
    "opentrade",
    "exposuresum",
    "positionreading",
    "pastpoint",
    "pastfilling",
    "feereceiver",
    "ownrate",
    "ratefetch",
    "retention",
    "statementmail",
    "dailyresult",
    "equitypoint",
    "logrecord",
    "decision",
    "decisioncount",
    "syncstate",
    "quarantinedpage",
}
# of these only the triggers know what is closed: tried below
BY_TRIGGER = ("reporting_commissionline", "reporting_billingperiod")


@pytest.fixture
def as_application(db, monkeypatch):
    """A function after which the test goes on as the application's role; role and rights go with the transaction."""
    owner = {**settings.DATABASES["default"], "USER": "another"}
    monkeypatch.setattr(settings, "OWNER_DATABASE", owner, raising=False)
    monkeypatch.setattr(settings, "APPLICATION_ROLE", ROLE)
    monkeypatch.setattr(settings, "APPLICATION_PASSWORD", "secret")
    connection.settings_dict["USER"], before = "another", connection.settings_dict["USER"]

    def begin():
        number = database_roles.refresh()
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {ROLE}")
        return number

    yield begin
    connection.settings_dict["USER"] = before
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


def refused(statement):
    """Whether the database refuses a statement for want of a right."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as error:
        return isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege)
    return False


def columns(table):
    with connection.cursor() as cursor:
        return [column.name for column in connection.introspection.get_table_description(cursor, table)]


def test_every_table_of_reporting_is_kept_or_named_as_one_that_changes():
    own = {model._meta.db_table for model in apps.get_app_config("reporting").get_models(include_auto_created=True)}
    changed = {f"reporting_{name}" for name in CHANGED}
    kept = {name for name in database_roles.KEPT if name.startswith("reporting_")}
    assert own == changed | kept
    assert not changed & kept


def test_every_table_with_a_trigger_that_keeps_it_is_kept(as_application):
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'keep%'")
        assert {name for (name,) in cursor.fetchall()} <= database_roles.KEPT.keys()


def test_what_would_undo_the_books_is_refused_for_each_of_them(as_application):
    as_application()
    allowed = []
    for table, rights in database_roles.KEPT.items():
        column = columns(table)[0]
        tried = [
            f"TRUNCATE {table} CASCADE",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"ALTER TABLE {table} ADD COLUMN more integer",
            f"ALTER TABLE {table} OWNER TO {ROLE}",
            f"CREATE TRIGGER t BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION users_keep_audit()",
            f"DROP TABLE {table} CASCADE",
        ]
        if table not in BY_TRIGGER:
            tried.append(f"DELETE FROM {table}")
            named = re.search(r"UPDATE \((.*)\)", rights)
            may = named[1].split(", ") if named else columns(table) if "UPDATE" in rights else []
            assert set(may) <= set(columns(table)), table
            tried += [f'UPDATE {table} SET "{name}" = "{name}"' for name in columns(table) if name not in may]
            assert may or f'UPDATE {table} SET "{column}" = "{column}"' in tried
        allowed += [statement for statement in tried if not refused(statement)]
    assert allowed == []


def test_what_would_undo_the_rules_themselves_is_refused(as_application):
    as_application()
    tried = [
        "SET session_replication_role = replica",
        "CREATE TABLE mine (a integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE another SUPERUSER",
        f"ALTER ROLE {ROLE} SUPERUSER",
        "DROP FUNCTION reporting_keep_books() CASCADE",
        "ALTER FUNCTION users_keep_audit() RENAME TO gone",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT users_seal(e) FROM users_auditentry e",
        "INSERT INTO users_auditseal SELECT * FROM users_auditseal",
    ]
    assert [statement for statement in tried if not refused(statement)] == []


def test_the_product_can_use_its_tables_and_temporary_ones(as_application):
    assert as_application() == len(database_roles.tables())
    now = database_roles.standing()
    assert (now.role, now.above_the_books, now.lacking) == (ROLE, "", 0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE stage ON COMMIT DROP AS SELECT * FROM reporting_transaction WITH NO DATA")
        cursor.execute("SELECT reporting_refresh_statistics('reporting_transaction')")
        cursor.execute("UPDATE reporting_statement SET is_void = true")
        cursor.execute("SELECT 1 FROM reporting_books FOR UPDATE")


def test_entries_of_the_audit_log_are_sealed_whoever_adds_them(as_application, workspace):
    as_application()
    record_audit(workspace, user=None, action="tried", subject="it", now=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT count(*) FROM users_auditseal WHERE entry_id = %s", [AuditEntry.objects.latest("pk").pk])
        assert cursor.fetchone() == (1,)


def test_no_table_of_its_own_hides_that_a_period_is_closed(as_application, business):
    period = BillingPeriod.objects.get()
    BillingPeriod.objects.update(state="closed", closed_at=period.period_end)
    as_application()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE reporting_billingperiod ON COMMIT DROP AS"
            " SELECT * FROM public.reporting_billingperiod WITH NO DATA"
        )
        with pytest.raises(Error, match="closed billing period"), transaction.atomic():
            cursor.execute("DELETE FROM reporting_commissionline")
        with pytest.raises(Error, match="only added to"), transaction.atomic():
            cursor.execute("UPDATE public.reporting_billingperiod SET closed_at = NULL")
        with pytest.raises(Error, match="only added to"), transaction.atomic():
            cursor.execute("DELETE FROM public.reporting_billingperiod")


def test_rights_that_were_given_by_hand_are_taken_back(as_application):
    database_roles.refresh()
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON reporting_payment TO {ROLE}")
        cursor.execute(f"GRANT UPDATE (number) ON reporting_statement TO {ROLE}")
    as_application()
    assert refused("DELETE FROM reporting_payment")
    assert refused("UPDATE reporting_statement SET number = 1")


def test_a_role_above_the_books_is_named(as_application, monkeypatch):
    as_application()
    assert [state for state, _ in doctor.look_at_roles()] == [doctor.OK]
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute(f"ALTER ROLE {ROLE} SUPERUSER")
    with pytest.raises(database_roles.RolesFailed, match="superuser"):
        database_roles.refresh()
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {ROLE}")
    ((state, text),) = doctor.look_at_roles()
    assert state == doctor.WRONG
    assert "a superuser" in text
    monkeypatch.setattr(settings, "OWNER_DATABASE", None)
    assert [state for state, _ in doctor.look_at_roles()] == [doctor.NOTE], "installations of before go on"


def test_without_an_owner_there_is_nothing_to_do():
    with pytest.raises(CommandError, match="MIGRATE_DATABASE_URL"):
        call_command("databaseroles")
