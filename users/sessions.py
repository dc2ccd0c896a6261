"""What a session knows of itself: since when, when last, from where, on what. How long it lasts, and how it ends.

It ends SESSION_COOKIE_AGE seconds after the sign-in at the latest, and before after SESSION_IDLE_SECONDS without a page
being opened or a form sent; with "Stay signed in" after SESSION_REMEMBERED_IDLE_SECONDS. What a page asks by itself
does not count.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from allauth.mfa.signals import authenticator_added, authenticator_used
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils import timezone

from users import tasks
from users.audit import record_personal
from users.devices import device_name
from users.factors import FACTOR_KEY
from users.models import SignInSession, User
from users.session_store import ADDRESS, CONFIRMED, DEVICE, SEEN, STARTED, digest_of, end_session
from users.sources import client_address

NOTED_EVERY_S = 300


def begin(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Note the sign-in, and tell the person of one from a new device."""
    now = timezone.now()
    device, address = device_name(request.headers.get("User-Agent", "")), client_address(request)
    request.session.update(
        {STARTED: now.timestamp(), SEEN: now.timestamp(), CONFIRMED: now.timestamp(), ADDRESS: address, DEVICE: device}
    )
    record_personal(user, "signed in", by=user, details={"device": device})
    if getattr(request, "is_new_device", False):
        tasks.tell_of_new_device.delay_on_commit(user.pk, device, address, now.isoformat())


def note_end(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    """Note that somebody signed out."""
    if user is not None:
        record_personal(user, "signed out", by=user)


def note_factor(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """Whoever sets a second factor up has one in this session; the others began without it."""
    request.session[FACTOR_KEY] = user.pk
    end_others(user, but=own_digest(request))


def note_factor_used(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    """A code, a passkey or a recovery code was shown: this session is one with a second factor."""
    request.session[FACTOR_KEY] = user.pk


def listen() -> None:
    """Hear of sign-ins and sign-outs, whichever page they come from."""
    authenticator_added.connect(note_factor, dispatch_uid="users.sessions.note_factor")
    authenticator_used.connect(note_factor_used, dispatch_uid="users.sessions.note_factor_used")
    user_logged_in.connect(begin, dispatch_uid="users.sessions.begin")
    user_logged_out.connect(note_end, dispatch_uid="users.sessions.note_end")


def is_over(session: SessionBase, now: datetime) -> bool:
    """Whether a session has lasted too long, or was not used for too long. An unknown start counts as now."""
    started, seen = session.get(STARTED, now.timestamp()), session.get(SEEN, now.timestamp())
    is_short = session.get_expire_at_browser_close()
    idle_s = settings.SESSION_IDLE_SECONDS if is_short else settings.SESSION_REMEMBERED_IDLE_SECONDS
    return now.timestamp() - started >= settings.SESSION_COOKIE_AGE or now.timestamp() - seen >= idle_s


def note_use(request: HttpRequest, now: datetime) -> None:
    """Remember that the person is still there, at most every five minutes."""
    is_page = not request.headers.get("HX-Request") or bool(request.headers.get("HX-Boosted"))
    if not is_page and request.method in ("GET", "HEAD"):
        return
    session = request.session
    session.setdefault(STARTED, now.timestamp())
    if now.timestamp() - session.get(SEEN, 0) >= NOTED_EVERY_S:
        session[SEEN] = now.timestamp()


def sessions_of(user: User) -> list[SignInSession]:
    """The sessions of a person that have not ended, the newest use first."""
    alive = SignInSession.objects.filter(user=user, expire_date__gt=timezone.now()).defer("session_data")
    return list(alive.order_by("-seen_at", "-started_at"))


def own_digest(request: HttpRequest) -> str:
    """Which of them is the one that asks."""
    return digest_of(request.session.session_key or "")


def end_others(user: User, *, but: str = "") -> int:
    """End every session of a person but one; returns how many."""
    digests = list(SignInSession.objects.filter(user=user).exclude(pk=but).values_list("pk", flat=True))
    for digest in digests:
        end_session(digest)
    return len(digests)
