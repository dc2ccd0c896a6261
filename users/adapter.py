"""How people sign in: by the one address of their account, slowed down when they guess. Nobody registers themself."""

from __future__ import annotations

import secrets

import structlog
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.core import context
from allauth.mfa.webauthn.internal.flows import did_use_passwordless_login
from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from users import acting, second_factor, tasks, throttle
from users.audit import record_personal
from users.models import User
from users.sources import client_address, is_shared, network_of

DEVICE_COOKIE = "device"
DEVICE_KEPT_S = 365 * 24 * 3600
KNOWN_DEVICE = "device "
# what allauth calls its notices: the action in the audit log, and the notice
FACTOR_CHANGES = {
    "mfa/email/totp_activated": ("second factor added", "set up"),
    "mfa/email/totp_deactivated": ("second factor removed", "removed"),
    "mfa/email/webauthn_added": ("second factor added", "passkey added"),
    "mfa/email/webauthn_removed": ("second factor removed", "passkey removed"),
    "mfa/email/recovery_codes_generated": ("recovery codes made", "new recovery codes"),
}

log = structlog.get_logger(__name__)


class EmailBackend(AuthenticationBackend):
    """Signs a person in by `User.email` alone: any other address that is stored for them, confirmed or not, is none."""

    def authenticate(self, request: HttpRequest | None, email: str = "", password: str = "", **others) -> User | None:
        if not password:
            return None
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            User().set_password(password)  # an unknown address takes as long as a known one
            return None
        return self._check_password(user, password)


class AccountAdapter(DefaultAccountAdapter):
    """Closes allauth's registration; counts failures in `users.throttle`; sends its notices by a task."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def authenticate(self, request: HttpRequest, **credentials) -> User | None:
        """The person, or None. Raises ValidationError when it has to wait: then the password is not even looked at."""
        now = timezone.now()
        email, source = credentials["email"], source_of(request, credentials["email"])
        network = None if source.startswith(KNOWN_DEVICE) else own_network(request)
        wait_s = throttle.begin_attempt(email, source, network=network, now=now)
        if wait_s:
            log.warning("sign-in slowed down", wait_s=wait_s)
            raise ValidationError(too_many(wait_s), code="too_many_login_attempts")
        user = super().authenticate(request, **credentials)
        if user is None:
            log.warning("sign-in failed")
            origin = acting.current()
            tasks.note_failed_sign_in.delay(email.strip().lower(), [origin.via, origin.name, origin.address])
        else:
            throttle.forgive_attempt(email, source, network=network, now=now)
        return user

    def pre_authenticate(self, request: HttpRequest, **credentials) -> None:
        """Nothing: allauth's own limit is one that anybody can hold on somebody else."""

    def is_reauthentication_required(self, *, app: str, **options) -> bool:
        """Never by allauth: users/confirming.py asks, for its pages too."""
        return False

    def pre_login(self, request: HttpRequest, user: User, **options) -> HttpResponse | None:
        if not did_use_passwordless_login(request, user):  # whoever signs in by a passkey has lost none
            second_factor.apply_due_reset(user, now=timezone.now())
        return super().pre_login(request, user, **options)

    def reauthenticate(self, user: User, password: str) -> bool:
        """Whether it is the person's password; guesses are counted like those at the sign-in."""
        checked = self.authenticate(context.request, email=user.email, password=password)
        return checked is not None and checked.pk == user.pk

    def login(self, request: HttpRequest, user: User) -> None:
        is_new = user.last_login is not None and not is_known_device(request, user.email)
        request.is_new_device = is_new  # type: ignore[attr-defined]
        super().login(request, user)

    def post_login(self, request: HttpRequest, user: User, **options) -> HttpResponse:
        response = super().post_login(request, user=user, **options)
        remember_device(request, response, user.email)
        return response

    def send_notification_mail(self, template_prefix: str, user: User, context=None, email=None) -> None:
        """Tell a person, and the audit log, that their password or second factor is another one."""
        if template_prefix in ("account/email/password_changed", "account/email/password_reset"):
            tasks.tell_of_new_password.delay_on_commit(user.pk)
            record_personal(user, template_prefix.rpartition("/")[2].replace("_", " "), by=user)
        elif template_prefix in FACTOR_CHANGES:
            action, what = FACTOR_CHANGES[template_prefix]
            record_personal(user, action, by=user)
            tasks.tell_of_factor.delay_on_commit(user.pk, what)


def too_many(wait_s: int) -> str:
    """The sentence for somebody who has to wait."""
    wait = f"{wait_s} seconds" if wait_s < 120 else f"{-(-wait_s // 60)} minutes"
    return f"Too many wrong passwords came from here. Try again in {wait if wait_s > 1 else 'a second'}."


def own_network(request: HttpRequest) -> str | None:
    """The network of the client; None where only the proxy's is known, which is everybody's."""
    return None if is_shared(request) else network_of(client_address(request))


def source_of(request: HttpRequest, email: str) -> str:
    """Whom failures at an account count for: a browser that has signed in to it before has a count of its own.

    So guesses from the same office, or through a proxy nobody configured, do not slow down the person themself.
    """
    device = _known_device(request, email)
    return f"{KNOWN_DEVICE}{device}" if device else network_of(client_address(request))


def is_known_device(request: HttpRequest, email: str) -> bool:
    """Whether the person has signed in on this browser before."""
    return bool(_known_device(request, email))


def _known_device(request: HttpRequest, email: str) -> str:
    try:
        cookie = request.COOKIES.get(device_cookie(), "")
        device = signing.loads(cookie, salt=DEVICE_COOKIE, max_age=DEVICE_KEPT_S)
    except signing.BadSignature:
        return ""
    is_own = isinstance(device, list) and len(device) == 2 and device[0] == email.strip().lower()
    return device[1] if is_own else ""


def device_cookie() -> str:
    """The cookie's name; with HTTPS no other host of the domain can set it."""
    return f"__Host-{DEVICE_COOKIE}" if settings.HTTPS else DEVICE_COOKIE


def remember_device(request: HttpRequest, response: HttpResponse, email: str) -> None:
    """Know this browser again at the next sign-in; the cookie opens nothing."""
    value = signing.dumps([email, secrets.token_urlsafe(12)], salt=DEVICE_COOKIE)
    response.set_cookie(
        device_cookie(),
        value,
        max_age=DEVICE_KEPT_S,
        httponly=True,
        samesite="Lax",
        secure=settings.HTTPS or request.is_secure(),
    )
