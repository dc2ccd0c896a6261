"""Who calls: the bearer token of a request, and the member or service that it stands for.

Cookies count for nothing here, so a page of another site can do nothing through somebody's browser.
"""

from __future__ import annotations

import structlog
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from api.models import ApiScope, ApiToken
from api.problems import ApiProblem
from api.tokens import note_use, token_of
from users import acting, throttle
from users.adapter import own_network
from users.models import Membership, User

WRONG_TOKENS, WRONG_WINDOW_S = 30, 60  # of one network
UNKNOWN = "This token is not known here. Make one in the settings, under “Access tokens”."
SENT_OTHERWISE = "Send the token in the header “Authorization: Bearer cpt_…”."
ENDED = {
    "revoked": "This token was revoked. Make another one in the settings, under “Access tokens”.",
    "expired": "This token has expired. Make another one in the settings, under “Access tokens”.",
    "factor": "The workspace asks a second factor of the person this token belongs to: they set one up, then it works.",
    "paused": "The person this token belongs to is shut out for now: ask the owner of the workspace.",
}
log = structlog.get_logger(__name__)


class ServiceUser(AnonymousUser):
    """In the place of a person where a service calls: signed in, and nobody in the database."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]  # Django's is always False
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False


class BearerAuthentication(BaseAuthentication):
    """Sets `membership` and `workspace` of the request from its token, as the middleware of pages does from cookies."""

    def authenticate(self, request: Request) -> tuple[User | ServiceUser, ApiToken] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationFailed(SENT_OTHERWISE)
        now = timezone.now()
        token = token_of(text.strip())
        if token is None:
            raise refusal_of_unknown(request)
        if (state := token.state(now)) in ENDED:
            raise AuthenticationFailed(ENDED[state])
        membership = membership_of(token)
        note_use(token, now)
        acting.become(acting.Origin("token", token.name, acting.current().address))
        request._request.membership, request._request.workspace = membership, token.workspace
        return (ServiceUser() if token.is_service else membership.user), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="copyportal"'


def membership_of(token: ApiToken) -> Membership:
    """What the token may see and do, as of a member; of a service one that no table has."""
    return token.membership or Membership(workspace=token.workspace, role=token.role)


def refusal_of_unknown(request: Request) -> Exception:
    """The answer to a wrong token; a network that sends many waits, while right tokens go on working from there."""
    network, now = own_network(request._request), timezone.now()
    if network and not throttle.may_act("api token", network, limit=WRONG_TOKENS, window_s=WRONG_WINDOW_S, now=now):
        log.warning("wrong API tokens slowed down")
        return Throttled(wait=WRONG_WINDOW_S)
    return AuthenticationFailed(UNKNOWN)


class TokenScope(BasePermission):
    """A token is needed, and one that may change things for everything but reading."""

    def has_permission(self, request: Request, view: object) -> bool:
        if request.auth is None:
            return False
        if request.method not in SAFE_METHODS and request.auth.scope != ApiScope.WRITE:
            raise ApiProblem("read-only-token")
        return True
