"""What the link in a mail carries that confirms a new address: good only for its reader, and while nothing changed."""

from __future__ import annotations

from django.core import signing
from django.utils.crypto import salted_hmac

from users.models import EmailChange, User

SALT = "users.email-change"


def confirmation_key(change: EmailChange) -> str:
    """What the link carries; a later wish, or a new password, makes it void."""
    return signing.dumps([change.pk, change.email, password_mark(change.user)], salt=SALT)


def password_mark(user: User) -> str:
    return salted_hmac(SALT, user.password).hexdigest()[:16]
