"""What clients agree to: the firm's terms, its disclosure of risks and its schedule of fees, and who accepted which.

Every version of a text is kept with its digest. What a client accepts is a version, with the time, the address that it
came from and the digest of what was read; the database refuses to change either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.db import models, transaction
from django.db.models import Max

from users import acting
from users.models import Membership, User, Workspace
from users.services import record_audit


class AgreementKind(models.TextChoices):
    """What a text is about; a workspace has the kinds that its people wrote."""

    TERMS = "terms", "Terms"
    RISK = "risk", "Risk disclosure"
    FEES = "fees", "Fee schedule"


class AgreementTextQuerySet(models.QuerySet["AgreementText"]):
    """Every read starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """Whoever belongs to the workspace may read what its clients agree to."""
        return self.filter(workspace_id=membership.workspace_id)

    def newest(self) -> Self:
        """The version of each kind that holds."""
        return self.order_by("kind", "-number").distinct("kind")


class AgreementText(models.Model):
    """One version of a text. asks_again: who accepted an earlier one is asked; False: only words were corrected."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="agreement_texts")
    kind = models.CharField(max_length=8, choices=AgreementKind.choices)
    number = models.PositiveIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of the text as UTF-8.")
    asks_again = models.BooleanField(default=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    set_at = models.DateTimeField()

    objects = AgreementTextQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "kind", "number"], name="one_text_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, version {self.number}"


class AcceptanceQuerySet(models.QuerySet["Acceptance"]):
    """Every read starts with `visible_to`."""

    def visible_to(self, membership: Membership) -> Self:
        """All of the workspace for staff, a client's own for a client."""
        own = self.filter(workspace_id=membership.workspace_id)
        return own if membership.is_staff_role else own.filter(user_id=membership.user_id)


class Acceptance(models.Model):
    """That a client accepted a version. email: as it was then, also when the person is gone."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="acceptances")
    text = models.ForeignKey(AgreementText, on_delete=models.CASCADE, related_name="acceptances")
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    email = models.CharField(max_length=254)
    name = models.CharField(max_length=120, blank=True)
    digest = models.CharField(max_length=64)
    address = models.CharField(max_length=64, blank=True, help_text="Where it came from.")
    accepted_at = models.DateTimeField()

    objects = AcceptanceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["text", "user"], name="one_acceptance_per_person")]
        indexes = [models.Index(fields=["workspace", "-accepted_at", "-id"], name="acceptance_by_time")]

    def __str__(self) -> str:
        return f"{self.email}: {self.text}"


def digest_of(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def publish_text(
    workspace: Workspace, kind: str, text: str, *, asks_again: bool, by: User, now: datetime
) -> AgreementText | None:
    """Make a new version, which holds at once; None: it says what holds already. The first one asks everybody."""
    Workspace.objects.select_for_update().get(pk=workspace.pk)  # two at once: one after the other
    versions = AgreementText.objects.filter(workspace=workspace, kind=kind)
    newest = versions.order_by("-number").first()
    if newest is not None and newest.text == text:
        return None
    published = AgreementText.objects.create(
        workspace=workspace,
        kind=kind,
        number=newest.number + 1 if newest else 1,
        text=text,
        digest=digest_of(text),
        asks_again=asks_again or newest is None,
        set_by=by,
        set_at=now,
    )
    details = {"version": published.number, "digest": published.digest, "asks_again": published.asks_again}
    record_audit(
        workspace, user=by, action="agreement published", subject=published.get_kind_display(), details=details, now=now
    )
    return published


@dataclass(frozen=True)
class Asked:
    """A text that holds, as a client sees it. accepted: the client's newest acceptance of its kind; None: none."""

    text: AgreementText
    accepted: Acceptance | None
    is_waiting: bool


def asked_of(membership: Membership) -> list[Asked]:
    """What holds in the workspace, and what of it the client has yet to accept. Three queries."""
    holding = list(AgreementText.objects.visible_to(membership).newest())
    if not holding:
        return []
    texts = AgreementText.objects.filter(workspace=membership.workspace_id, asks_again=True)
    needed = dict(texts.values_list("kind").annotate(newest=Max("number")))
    own = Acceptance.objects.filter(workspace=membership.workspace_id, user=membership.user_id).select_related("text")
    newest: dict[str, Acceptance] = {}
    for acceptance in own.order_by("text__number"):
        newest[acceptance.text.kind] = acceptance
    order = list(AgreementKind.values)
    holding.sort(key=lambda text: order.index(text.kind))
    return [
        Asked(text, mine, mine is None or mine.text.number < needed.get(text.kind, 1))
        for text in holding
        for mine in [newest.get(text.kind)]
    ]


@transaction.atomic
def accept_texts(
    membership: Membership, read: Collection[tuple[int, str]], *, now: datetime
) -> list[Acceptance] | None:
    """Note that a client accepts what they read: (id, digest) of each; None: one of them is not what holds now.

    Accepting twice is accepting once.
    """
    Workspace.objects.select_for_update().get(pk=membership.workspace_id)  # nothing is published meanwhile
    holding = {(text.pk, text.digest): text for text in AgreementText.objects.visible_to(membership).newest()}
    if not all(key in holding for key in read):
        return None
    user, accepted = membership.user, []
    for key in read:
        text = holding[key]
        acceptance, is_new = Acceptance.objects.get_or_create(
            text=text,
            user=user,
            defaults={
                "workspace_id": membership.workspace_id,
                "email": user.email,
                "name": user.name,
                "digest": text.digest,
                "address": acting.current().address[:64],
                "accepted_at": now,
            },
        )
        accepted.append(acceptance)
        if is_new:
            details = {"version": text.number, "digest": text.digest}
            record_audit(
                membership.workspace,
                user=user,
                action="agreement accepted",
                subject=text.get_kind_display(),
                details=details,
                now=now,
            )
    return accepted
