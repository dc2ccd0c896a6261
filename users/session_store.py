"""Sessions in the database and the cache, each under the digest of its key: nobody reads a usable key there."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.cached_db import SessionStore as CachedSessionStore
from django.core.cache import caches
from django.db import transaction
from django.utils import timezone

from users.models import SignInSession

PREFIX = "copyportal.session:"
# what a session knows of itself, for the list of sessions
STARTED, SEEN, CONFIRMED, ADDRESS, DEVICE = "started_at", "seen_at", "confirmed_at", "address", "device"


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class SessionStore(CachedSessionStore):
    """Django's cached sessions, stored under the digest of the key."""

    cache_key_prefix = PREFIX

    @classmethod
    def get_model_class(cls):
        return SignInSession

    @property
    def cache_key(self) -> str:
        return PREFIX + digest_of(self._get_or_create_session_key())  # type: ignore[attr-defined]  # not in the stubs

    def load(self) -> dict[str, Any]:
        """The data. What is cached was in the database after it was read there: an ended session stays ended."""
        data = super().load()
        if self._was_cached or not data or self.exists(self.session_key or ""):
            return data
        caches[settings.SESSION_CACHE_ALIAS].delete(self.cache_key)
        return {}

    def _get_session_from_db(self) -> SignInSession | None:
        self._was_cached = False
        key = self.session_key
        row = SignInSession.objects.filter(pk=digest_of(key), expire_date__gt=timezone.now()).first() if key else None
        if row is None:
            self._session_key = None
        return row

    _was_cached = True

    def exists(self, session_key: str) -> bool:
        return bool(session_key) and SignInSession.objects.filter(pk=digest_of(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> SignInSession:
        return SignInSession(
            session_key=digest_of(self._get_or_create_session_key()),  # type: ignore[attr-defined]
            session_data=self.encode(data),
            expire_date=self.get_expiry_date(),
            user_id=data.get(SESSION_KEY),
            started_at=_moment(data.get(STARTED)),
            seen_at=_moment(data.get(SEEN)),
            address=data.get(ADDRESS, ""),
            device=data.get(DEVICE, ""),
        )

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key:
            end_session(digest_of(key))


def end_session(digest: str) -> None:
    """End a session on its device: the next request is nobody's."""
    SignInSession.objects.filter(pk=digest).delete()
    cache = caches[settings.SESSION_CACHE_ALIAS]
    cache.delete(PREFIX + digest)
    if transaction.get_connection().in_atomic_block:  # somebody may still read the row, and cache it again
        transaction.on_commit(lambda: cache.delete(PREFIX + digest))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
