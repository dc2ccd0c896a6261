"""What settings were, and when: every version of a document (strategy, portfolio, subscriber) that the mirror saw.

One rule for all kinds (`keep_versions`), called in the transaction that writes the mirrored row. Documents are kept as
the mirror has them, without secrets. Between the last look that saw a version and the first that saw another one nobody
knows when it was changed: both moments are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import connection, models, transaction
from django.db.models import Q

from users.models import Connection, Membership, Workspace

MOST_VERSIONS = 200  # of one document: settings that a program changes all the time do not fill the disk
KEPT = timedelta(days=400)  # since they were replaced: longer than any look back


class Described(models.TextChoices):
    """What a document describes."""

    STRATEGY = "strategy", "Strategy"
    PORTFOLIO = "portfolio", "Portfolio"
    SUBSCRIBER = "subscriber", "Subscriber"


class DocumentVersionQuerySet(models.QuerySet["DocumentVersion"]):
    """Every read for a page starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Of the workspace for staff, nothing for anybody else."""
        return self.filter(workspace_id=membership.workspace_id) if membership.is_staff_role else self.none()

    def during(self, start: datetime, end: datetime) -> Self:
        """Versions that held at some time of [start, end], so far as was seen."""
        return self.filter(first_seen_at__lte=end).filter(Q(replaced_at=None) | Q(replaced_at__gt=start))


class DocumentVersion(models.Model):
    """A document as it was from `first_seen_at` until `replaced_at`; null: it is so still.

    last_seen_at: when it was certainly still in force; null while it is. The first version of an object may have held
    long before it was seen.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, db_index=False)
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=10, choices=Described.choices)
    backend_id = models.CharField(max_length=64)
    document = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(null=True)
    replaced_at = models.DateTimeField(null=True)

    objects = DocumentVersionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "kind", "backend_id"],
                condition=Q(replaced_at=None),
                name="one_version_in_force",
            )
        ]
        indexes = [
            models.Index(fields=["connection", "kind", "backend_id", "first_seen_at"], name="version_by_object"),
            models.Index(
                fields=["connection", "replaced_at"], condition=Q(replaced_at__isnull=False), name="version_by_end"
            ),
        ]

    def holds_at(self, moment: datetime) -> bool:
        """Whether it was what the mirror had at a moment."""
        return self.first_seen_at <= moment and (self.replaced_at is None or moment < self.replaced_at)

    def is_certain_at(self, moment: datetime) -> bool:
        """Whether no other version can have been in force by then already."""
        return self.last_seen_at is None or moment <= self.last_seen_at


class ConfigurationLook(models.Model):
    """When the configuration of a connection was last read as a whole: what was not replaced by then was in force."""

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="configuration_look")
    looked_at = models.DateTimeField()


# What is in force goes before what comes: two statements, as one index allows only one version in force. A sync that
# began before an edit was mirrored may be behind it, and no version ends before it begins.
_REPLACE = """
    UPDATE strategies_documentversion v
    SET replaced_at = greatest(v.first_seen_at, %(now)s),
        last_seen_at = greatest(v.first_seen_at, (
            SELECT least(l.looked_at, %(now)s) FROM strategies_configurationlook l
            WHERE l.connection_id = v.connection_id
        ))
    FROM unnest(%(ids)s::text[], %(documents)s::jsonb[]) AS k (backend_id, document)
    WHERE v.connection_id = %(connection)s AND v.kind = %(kind)s AND v.backend_id = k.backend_id
      AND v.replaced_at IS NULL AND v.document IS DISTINCT FROM k.document
"""
_ADD = """
    INSERT INTO strategies_documentversion (workspace_id, connection_id, kind, backend_id, document, first_seen_at)
    SELECT %(workspace)s, %(connection)s, %(kind)s, k.backend_id, k.document, greatest(%(now)s, (
        SELECT max(v.replaced_at) FROM strategies_documentversion v
        WHERE v.connection_id = %(connection)s AND v.kind = %(kind)s AND v.backend_id = k.backend_id
    ))
    FROM unnest(%(ids)s::text[], %(documents)s::jsonb[]) AS k (backend_id, document)
    ON CONFLICT (connection_id, kind, backend_id) WHERE replaced_at IS NULL DO NOTHING
"""
_LIMIT = """
    DELETE FROM strategies_documentversion v USING (
        SELECT id, row_number() OVER (PARTITION BY backend_id ORDER BY first_seen_at DESC, id DESC) AS place
        FROM strategies_documentversion
        WHERE connection_id = %(connection)s AND kind = %(kind)s AND backend_id = ANY(%(ids)s)
    ) numbered WHERE v.id = numbered.id AND numbered.place > %(most)s
"""


def keep_versions(
    backend: Connection, kind: str, documents: Sequence[tuple[str, str]], *, now: datetime, most: int = MOST_VERSIONS
) -> int:
    """Note what is in force now, (id, JSON) each; returns how many versions are new.

    Nothing is noted of a document that says what it said before. Call it in the transaction that writes the mirrored
    rows, whose locks let two who mirror the same object follow each other.
    """
    if not documents:
        return 0
    parameters: dict[str, Any] = {
        "workspace": backend.workspace_id,
        "connection": backend.pk,
        "kind": str(kind),
        "ids": [backend_id for backend_id, _ in documents],
        "documents": [document for _, document in documents],
        "now": now,
        "most": most,
    }
    with transaction.atomic(), connection.cursor() as database:
        database.execute(_REPLACE, parameters)
        database.execute(_ADD, parameters)
        added = database.rowcount
        if added:
            database.execute(_LIMIT, parameters)
    return added


def end_versions(backend: Connection, kind: str, ids: Sequence[str], *, now: datetime) -> int:
    """Note that objects are gone from the backend; returns how many had a version in force."""
    own = DocumentVersion.objects.filter(connection=backend, kind=kind, backend_id__in=ids, replaced_at=None)
    look = ConfigurationLook.objects.filter(connection=backend).values_list("looked_at", flat=True).first()
    with transaction.atomic():
        versions = list(own.select_for_update())
        for version in versions:
            version.replaced_at = max(version.first_seen_at, now)
            version.last_seen_at = max(version.first_seen_at, min(look or version.first_seen_at, now))
        DocumentVersion.objects.bulk_update(versions, ["replaced_at", "last_seen_at"])
    return len(versions)


def note_look(backend: Connection, *, now: datetime) -> None:
    """The configuration was read as a whole; what was replaced long ago goes."""
    ConfigurationLook.objects.update_or_create(connection=backend, defaults={"looked_at": now})
    DocumentVersion.objects.filter(connection=backend, replaced_at__lt=now - KEPT).delete()
