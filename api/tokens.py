"""Making, finding and ending access tokens. A token is shown once; what is stored of it is its digest."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from api.models import ApiToken
from users.members import digest_of
from users.models import Membership, User
from users.services import record_audit

PREFIX = "cpt_"  # by it people and scanners for leaked secrets recognise one
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Issued:
    """A new token and its text, which nobody can read again."""

    token: ApiToken
    text: str


@transaction.atomic
def issue_token(
    member: Membership, *, name: str, scope: str, lasts: timedelta, now: datetime, service_role: str = ""
) -> Issued:
    """A token of this member, or with `service_role` one of a service of the workspace."""
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        workspace=member.workspace,
        membership=None if service_role else member,
        role=service_role,
        name=name,
        scope=scope,
        digest=digest_of(text),
        hint=text[-4:],
        created_by=member.user,
        created_at=now,
        expires_at=now + lasts,
    )
    details = {"scope": scope, "ends": token.expires_at.isoformat(), "service_role": service_role}
    record_audit(member.workspace, user=member.user, action="token created", subject=name, details=details, now=now)
    return Issued(token, text)


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User, now: datetime) -> None:
    """Let it open nothing from now on; a second time changes nothing."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        details = {"token": token.pk, "last_used": token.last_used_at and token.last_used_at.isoformat()}
        record_audit(token.workspace, user=by, action="token revoked", subject=token.name, details=details, now=now)


def token_of(text: str) -> ApiToken | None:
    """The token that a program sent, in whatever state it is."""
    if not _TOKEN.fullmatch(text):
        return None
    related = ("workspace", "membership__user", "membership__workspace")
    return ApiToken.objects.select_related(*related).filter(digest=digest_of(text)).first()


def note_use(token: ApiToken, now: datetime) -> None:
    """Remember that it is in use, at most once a minute."""
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
