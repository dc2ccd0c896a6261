"""The audit log: who did what, when, from where. Rows are only added, and chained so that a change shows.

The database seals every entry when its transaction commits: a number without gaps, and a digest over the entry and the
digest before it (migration 0011). It refuses to change or remove entries and seals. Whoever can switch that off still
leaves a broken chain, unless they rewrite all of it: the newest number and digest, noted elsewhere, show that too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from users import acting
from users.models import AuditEntry, User, Workspace

LONGEST_SUBJECT = 200
FAULTS = {
    "missing": "the entry is gone",
    "changed": "the entry was changed",
    "gap": "numbers before it are gone",
    "unsealed": "the entry was added without a seal",
}
# the digest as migration 0011 computes it, written out: a function in the database could be replaced
DIGEST = """encode(sha256(convert_to(jsonb_build_array('1', {previous}, {entry}.id, {entry}.workspace_id,
 {entry}.user_id, {entry}.via, {entry}.actor, {entry}.address, {entry}.action, {entry}.subject, {entry}.details,
 {entry}.occurred_at)::text, 'UTF8')), 'hex')"""
_FAULTS = f"""
WITH chain AS (
    SELECT number, entry_id, digest, lag(digest, 1, '') OVER (ORDER BY number) AS previous,
           lag(number, 1, 0::bigint) OVER (ORDER BY number) AS number_before
    FROM users_auditseal
), judged AS (
    SELECT chain.number, chain.entry_id, CASE
        WHEN chain.number <> chain.number_before + 1 THEN 'gap'
        WHEN entry.id IS NULL THEN 'missing'
        WHEN {DIGEST.format(previous="chain.previous", entry="entry")} <> chain.digest THEN 'changed' END AS fault
    FROM chain LEFT JOIN users_auditentry entry ON entry.id = chain.entry_id
)
SELECT number, entry_id, fault FROM judged WHERE fault IS NOT NULL
UNION ALL
SELECT NULL, entry.id, 'unsealed' FROM users_auditentry entry
WHERE NOT EXISTS (SELECT FROM users_auditseal seal WHERE seal.entry_id = entry.id)
ORDER BY 1 NULLS LAST LIMIT %s"""


@dataclass(frozen=True)
class AuditFault:
    """What is wrong with one entry. number: in the chain; None: it has none."""

    number: int | None
    entry_id: str
    kind: str

    def __str__(self) -> str:
        return f"{self.number or 'no number'}, {self.entry_id}: {FAULTS[self.kind]}"


@dataclass(frozen=True)
class AuditHead:
    """The end of the chain: to be noted where nobody who can write the database can write."""

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


def record_audit(
    workspace: Workspace | None,
    *,
    user: User | None,
    action: str,
    subject: str,
    details: dict | None = None,
    now: datetime | None = None,
) -> AuditEntry:
    """Note who did what to which object. `details` must hold no secret; what changed stands under before and after.

    workspace None: something that concerns nobody's, such as a sign-in with an unknown address.
    """
    origin = acting.current()
    return AuditEntry.objects.create(
        workspace=workspace,
        user=user,
        via=origin.via,
        actor=(f"{user.email} ({origin.name})" if user and origin.name else user.email if user else origin.name)[:320],
        address=origin.address,
        action=action,
        subject=subject[:LONGEST_SUBJECT],
        details=details or {},
        occurred_at=now or timezone.now(),
    )


def record_personal(user: User, action: str, *, by: User | None = None, details: dict | None = None) -> None:
    """Note what a person did with their own account, or somebody (None: nobody is known) with it, in each workspace."""
    workspaces: list[Workspace | None] = list(Workspace.objects.filter(memberships__user=user).distinct())
    for workspace in workspaces or [None]:
        record_audit(workspace, user=by, action=action, subject=user.email, details=details)


@transaction.atomic
def audit_faults(*, most: int = 100) -> list[AuditFault]:
    """Entries that are missing, were changed, or never sealed, in their order; at most so many."""
    with database.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'UTC'")
        cursor.execute(_FAULTS, [most])
        return [AuditFault(number, str(entry_id), kind) for number, entry_id, kind in cursor.fetchall()]


def audit_head() -> AuditHead | None:
    """The newest seal; None: nothing was ever noted."""
    return _seal("ORDER BY number DESC LIMIT 1", [])


def holds(noted: AuditHead) -> bool:
    """Whether the chain still contains what was noted as its end: it does not after all of it was rewritten or cut."""
    return _seal("WHERE number = %s", [noted.number]) == noted


def _seal(which: str, parameters: list[Any]) -> AuditHead | None:
    with database.cursor() as cursor:
        cursor.execute(f"SELECT number, digest FROM users_auditseal {which}", parameters)
        row = cursor.fetchone()
    return AuditHead(*row) if row else None


def details_text(details: dict) -> list[str]:
    """What is in an entry's details, a line each, with before and after beside each other."""
    before, after = details.get("before"), details.get("after")
    lines = []
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        lines = [f"{name}: {_text(old.get(name))} → {_text(new.get(name))}" for name in names]
    elif before is not None or after is not None:
        lines = [f"{_text(before)} → {_text(after)}"]
    return lines + [f"{name}: {_text(value)}" for name, value in details.items() if name not in ("before", "after")]


def _text(value: Any) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_text, value)) if isinstance(value, list) else str(value)
