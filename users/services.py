"""Writes about people, workspaces and connections: each one transaction, noted in the audit log where it matters."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from copying.client import Client, ClientError, Forbidden, RateLimited, Unauthorised, Unreachable
from users.audit import record_audit
from users.models import Connection, Membership, Role, User, Workspace

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ConnectionCheck:
    """Whether a backend answered, and one sentence about it for the person who asked."""

    is_ok: bool
    text: str


class AlreadyConnected(Exception):
    """The workspace mirrors a backend with this token already. text: a sentence for the person."""

    transient = False

    def __init__(self, other: Connection):
        self.text = f"“{other.name}” is connected with this token already, and nothing is mirrored twice."
        super().__init__(self.text)


WORKSPACE_CHANGED = "workspace changed"  # the action of an audit record; its details are the whole form


@transaction.atomic
def create_owner(*, email: str, password: str, name: str = "", workspace: Workspace) -> Membership:
    """Make a person who owns `workspace`."""
    user = User.objects.create_user(email, password, name=name)
    membership = Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
    record_audit(workspace, user=user, action="owner created", subject=user.email)
    return membership


@transaction.atomic
def add_member(workspace: Workspace, *, email: str, password: str, role: str, name: str = "") -> Membership:
    """Give a new person a role in the workspace."""
    user = User.objects.create_user(email, password, name=name)
    membership = Membership.objects.create(workspace=workspace, user=user, role=role)
    record_audit(workspace, user=None, action="member added", subject=user.email, details={"role": role})
    return membership


@transaction.atomic
def create_workspace_with_connection(
    *,
    name: str,
    timezone_name: str = "UTC",
    reporting_currency: str = "USD",
    is_demo: bool = False,
    base_url: str | None = None,
    token: str | None = None,
    market_is_simulated: bool | None = None,
) -> Workspace:
    """Make a firm that uses the backend of BACKEND_URL and BACKEND_TOKEN, or no backend yet where these are unset."""
    workspace = Workspace.objects.create(
        name=name, timezone=timezone_name, reporting_currency=reporting_currency, is_demo=is_demo
    )
    base_url = settings.BACKEND_URL if base_url is None else base_url
    token = settings.BACKEND_TOKEN if token is None else token
    if token:
        add_connection(
            workspace,
            name="Copying backend",
            base_url=base_url,
            token=token,
            market_is_simulated=True if is_demo else market_is_simulated,
        )
    return workspace


@transaction.atomic
def add_connection(
    workspace: Workspace,
    *,
    name: str,
    token: str,
    base_url: str = "",
    domain: str = "",
    market_is_simulated: bool | None = None,
    by: User | None = None,
) -> Connection:
    """Connect the workspace to a backend; the next sweep starts to mirror it. Raises AlreadyConnected."""
    connection = Connection(
        workspace=workspace,
        name=name,
        base_url=base_url.rstrip("/"),
        domain=domain,
        token=token.strip(),
        token_hint=token.strip()[-4:],
        market_is_simulated=market_is_simulated,
    )
    _refuse_second(connection, token)
    connection.save()
    record_audit(workspace, user=by, action="connection added", subject=name, details={"address": base_url or domain})
    return connection


def _refuse_second(connection: Connection, token: str) -> None:
    """Mirrored twice, every strategy would be listed twice and every commission owed twice.

    Whatever the address: a backend has several names, and a token is of one backend.
    """
    Workspace.objects.select_for_update().get(pk=connection.workspace_id)
    others = Connection.objects.filter(workspace=connection.workspace_id, token_hint=token.strip()[-4:])
    for other in others.exclude(pk=connection.pk):
        if other.token == token.strip():
            raise AlreadyConnected(other)


@transaction.atomic
def change_connection(
    connection: Connection,
    *,
    name: str,
    base_url: str,
    domain: str,
    is_enabled: bool,
    token: str = "",
    by: User | None = None,
) -> Connection:
    """Change the connection, with a `token` its token too. Without one a changed destination is asked nothing.

    Raises AlreadyConnected.
    """
    before = Connection.objects.values_list("base_url", "domain").get(pk=connection.pk)
    connection.name, connection.base_url, connection.domain = name, base_url.rstrip("/"), domain
    connection.is_enabled = is_enabled
    fields = ["name", "base_url", "domain", "is_enabled"]
    if token:
        _refuse_second(connection, token)
        connection.set_token(token)
        fields += ["token", "token_hint", "token_destination"]
    connection.save(update_fields=fields)
    details = {"address": base_url or domain, "before": before[0] or before[1], "enabled": is_enabled}
    details["token"] = "typed again" if token else "as before"
    record_audit(connection.workspace, user=by, action="connection changed", subject=name, details=details)
    return connection


@transaction.atomic
def replace_token(connection: Connection, *, token: str, by: User | None = None) -> Connection:
    """Put a new token in the place of the old one, which nobody can read back. Raises AlreadyConnected."""
    _refuse_second(connection, token)
    connection.set_token(token)
    connection.save(update_fields=["token", "token_hint", "token_destination"])
    record_audit(connection.workspace, user=by, action="token replaced", subject=connection.name)
    return connection


def check_connection(backend: Connection, *, client: Client | None = None) -> ConnectionCheck:
    """Ask the backend for its first strategy with the stored token; says in a sentence how that went."""
    try:
        with client or backend.client(timeout_s=5, extended_timeout_s=8, retries=0, wait_budget_s=0) as asked:
            page = asked.strategies_page(limit=1)
    except ClientError as error:
        log.warning("connection test failed", connection=backend.pk, reason=error.text, said=error.said)
        return ConnectionCheck(False, sentence_of(error))
    except ImproperlyConfigured as error:
        return ConnectionCheck(False, str(error))
    offered = "it offers strategies" if page else "it offers no strategy yet"
    return ConnectionCheck(True, f"The backend answers and accepts the token; {offered}.")


def sentence_of(error: ClientError) -> str:
    """What a failed test tells, in our words alone.

    What a server at an entered address says is not repeated, and silence is not told from refusal: the test would be
    an eye into the network behind the portal. The log has the reason.
    """
    for kind, text in _SENTENCES.items():
        if isinstance(error, kind):
            return text
    return "Something answers there, but not as a copying backend does. Is the address right?"


_SENTENCES = {
    Unauthorised: "The backend does not accept the token: type it again.",
    Unreachable: "No backend answers at this address. Is the address right, and does the backend run? One in a private"
    " network works only where whoever runs this installation allows it.",
    RateLimited: "The backend answers, and asks for a pause: too many requests were sent. Try again in a minute.",
    Forbidden: "The backend accepts the token, but not for reading strategies.",
}
