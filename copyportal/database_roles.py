"""The two roles of the database: the owner, who migrates, and the application's, which owns nothing.

What the application's role may do with each table is decided here alone. With the books it may do what the product
does and no more: add, and change the few columns that change; triggers of the migrations say when (docs/operations.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
ADDED = "SELECT, INSERT"
# what is not named here may be changed; a table of `reporting` stands here or in the test that goes through all of them
KEPT: dict[str, str] = {
    "django_migrations": "SELECT",
    # the audit log; seals are made by the owner's trigger
    "users_auditentry": ADDED,
    "users_auditseal": "SELECT",
    # what clients accepted: only the people may go
    "subscribers_agreementtext": f"{ADDED}, UPDATE (set_by_id)",
    "subscribers_acceptance": f"{ADDED}, UPDATE (user_id)",
    # terms, and what lines are made of
    "reporting_commissionpolicy": ADDED,
    "reporting_termsversion": f"{ADDED}, UPDATE (set_by_id, change_id)",
    "reporting_termsanswer": f"{ADDED}, UPDATE (recorded_by_id)",
    "reporting_subscriptionlifetime": f"{ADDED}, UPDATE (ended_at)",
    "reporting_transaction": f"{ADDED}, UPDATE",
    "reporting_referencerate": ADDED,
    # the books; lines and periods change until the period is closed
    "reporting_commissionline": EVERYTHING,
    "reporting_billingperiod": EVERYTHING,
    "reporting_books": f"{ADDED}, UPDATE (statements, credit_notes, receiver_statements)",
    "reporting_statement": f"{ADDED}, UPDATE (is_void)",
    "reporting_statementitem": f"{ADDED}, UPDATE (is_void)",
    "reporting_payment": ADDED,
    "reporting_entry": ADDED,
    "reporting_dispute": f"{ADDED}, UPDATE (state, settled_at, credit_note_id)",
    "reporting_disputeevent": ADDED,
    "reporting_runrequest": f"{ADDED}, UPDATE (state, settled_at, settled_by_id, note, job_id)",
    "reporting_journalexport": f"{ADDED}, UPDATE (taken_back_at, taken_back_by_id)",
    "reporting_receiverterms": ADDED,
    "reporting_introduction": ADDED,
    "reporting_receiverstatement": ADDED,
    "reporting_shareline": ADDED,
    "reporting_payout": ADDED,
    # the embedded backend's journal and records: `payload` is put aside and replaced, or encrypted anew
    "copying_journalentry": f"{ADDED}, UPDATE (payload, original)",
    "copying_transactionrecord": ADDED,
    "copying_accountdealrecord": ADDED,
    "copying_signalrecord": ADDED,
    "copying_stopoutrecord": ADDED,
    "copying_accountsnapshotrecord": ADDED,
}
# what only a trigger of the owner calls
NOT_CALLED = ("users_seal",)


class RolesFailed(Exception):
    """`str()` is a sentence for the operator: what was wrong and what to do."""


@dataclass(frozen=True, slots=True)
class RoleStanding:
    """What a role is in the database. owned: tables of the portal that it owns, or could as a member of their owner."""

    role: str
    is_superuser: bool
    may_make_roles: bool
    may_make_tables: bool
    owned: int
    lacking: int  # tables of the portal that it may not even read

    @property
    def above_the_books(self) -> str:
        """Why closed books are not kept from it; nothing: they are."""
        if self.is_superuser:
            return "a superuser"
        if self.owned:
            return "who owns the tables"
        if self.may_make_roles:
            return "who may make roles"
        return "who may make tables" if self.may_make_tables else ""


def are_two() -> bool:
    """Whether the settings name an owner beside the application's role."""
    return settings.OWNER_DATABASE is not None and settings.OWNER_DATABASE["USER"] != settings.APPLICATION_ROLE


@contextmanager
def as_owner() -> Iterator[None]:
    """Until the block ends this process works as the owner, where there is one. For commands: in one thread, once."""
    owner: dict[str, Any] = settings.OWNER_DATABASE or {}
    if not are_two() or connection.settings_dict["USER"] == owner["USER"]:
        yield
        return
    own = dict(connection.settings_dict)
    _become(own | owner)
    try:
        yield
    finally:
        _become(own)


def _become(values: dict[str, Any]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # only PostgreSQL's has one
    connection.settings_dict.update(values)


def tables() -> list[str]:
    """The portal's tables that the database has, by name."""
    known = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | {"django_migrations"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
        return [name for (name,) in cursor.fetchall() if name in known]


def standing(role: str = "") -> RoleStanding | None:
    """What a role is, or the one that asks; None: there is no such role."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper, rolcreaterole, has_schema_privilege(oid, current_schema(), 'CREATE'),"
            " (SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
            "   AND c.relname = ANY(%(tables)s) AND pg_has_role(r.oid, c.relowner, 'MEMBER')),"
            " (SELECT count(*) FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
            "   AND c.relname = ANY(%(tables)s) AND NOT has_table_privilege(r.oid, c.oid, 'SELECT'))"
            " FROM pg_roles r WHERE rolname = coalesce(nullif(%(role)s, ''), current_user)",
            {"role": role, "tables": tables()},
        )
        row = cursor.fetchone()
    return RoleStanding(*row) if row else None


def refresh() -> int:
    """Make the application's role if it is missing, and give it its rights anew; the number of tables. As the owner.

    Raises RolesFailed where the owner may not, or where the application's role could undo it.
    """
    role: str = settings.APPLICATION_ROLE
    with as_owner(), transaction.atomic(), connection.cursor() as cursor:
        if standing(role) is None:
            _make(cursor, role)
        names = tables()
        for statement in rights(cursor, role, names):
            cursor.execute(statement)
        now = standing(role)
    if now is not None and now.above_the_books:
        raise RolesFailed(
            f"The role {role} is one {now.above_the_books}: nothing is kept from it. Take another one for DATABASE_URL,"
            " or see docs/operations.md, “Two database roles”."
        )
    return len(names)


def _make(cursor: CursorWrapper, role: str) -> None:
    password: str = settings.APPLICATION_PASSWORD
    cursor.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    if not cursor.fetchone()[0]:
        raise RolesFailed(
            f"There is no role {role}, and this one may not make it. As a superuser: CREATE ROLE {role} LOGIN PASSWORD"
            " '…' (the one in DATABASE_URL), then again: manage.py databaseroles"
        )
    statement = sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role))
    if password:  # the server gets, and may log, what it would store
        pgconn = cursor.connection.pgconn
        sealed = pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        statement += sql.SQL(" PASSWORD {}").format(sql.Literal(sealed))
    cursor.execute(statement)


def rights(cursor: CursorWrapper, role: str, names: list[str]) -> Iterator[sql.Composed]:
    """The statements after which a role has exactly its rights with these tables, in the schema of now."""
    cursor.execute("SELECT current_schema(), current_database()")
    schema, database = map(sql.Identifier, cursor.fetchone())
    to = sql.Identifier(role)
    listed = sql.SQL(", ").join(sql.SQL("{}.{}").format(schema, sql.Identifier(name)) for name in names)
    if not _has(cursor, "has_database_privilege", role, "current_database()", "CONNECT", "TEMPORARY"):
        # syncs and the ledger stage what they store in temporary tables
        yield sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, to)
    if not _has(cursor, "has_schema_privilege", role, "current_schema()", "USAGE"):
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, to)
    if _has(cursor, "has_schema_privilege", role, "current_schema()", "CREATE"):  # of all, before PostgreSQL 15
        yield sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC, {}").format(schema, to)
    yield sql.SQL("REVOKE ALL ON {} FROM PUBLIC, {}").format(listed, to)
    free = [name for name in names if name not in KEPT]
    for granted, group in [(EVERYTHING, free), *((KEPT[name], [name]) for name in names if name in KEPT)]:
        on = sql.SQL(", ").join(sql.SQL("{}.{}").format(schema, sql.Identifier(name)) for name in group)
        yield sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(granted), on, to)
    yield from _rights_on_the_rest(cursor, to, schema, names)


def _rights_on_the_rest(
    cursor: CursorWrapper, to: sql.Identifier, schema: sql.Identifier, names: list[str]
) -> Iterator[sql.Composed]:
    """Numbers of rows come without a right to their sequences; backups read these."""
    cursor.execute(
        "SELECT s.relname FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.classid = 'pg_class'::regclass"
        " AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') JOIN pg_class t ON t.oid = d.refobjid"
        " WHERE s.relkind = 'S' AND t.relnamespace = current_schema()::regnamespace AND t.relname = ANY(%s) ORDER BY 1",
        [names],
    )
    for (sequence,) in cursor.fetchall():
        yield sql.SQL("GRANT SELECT ON SEQUENCE {}.{} TO {}").format(schema, sql.Identifier(sequence), to)
    cursor.execute(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
        " AND proname = ANY(%s) ORDER BY 1",
        [list(NOT_CALLED)],
    )
    for (function,) in cursor.fetchall():
        yield sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC, {}").format(sql.SQL(function), to)


def _has(cursor: CursorWrapper, function: str, role: str, what: str, *privileges: str) -> bool:
    """Whether a role has all of some privileges."""
    asked = " AND ".join(f"{function}(%s, {what}, %s)" for _ in privileges)
    cursor.execute(f"SELECT {asked}", [word for privilege in privileges for word in (role, privilege)])
    return bool(cursor.fetchone()[0])
