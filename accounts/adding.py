"""Adding a trading account: asked for once, sent outside any transaction, and what became of it in words.

The intent is committed first, without the password, which goes to the backend and nowhere else: while a login is being
checked the same request is sent again with the password typed, or still standing, in the person's own page. The
transaction id follows from everything that is sent, so that the same form sent twice is one account, and anything that
differs is another request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from accounts.mirror import keep_accounts
from accounts.models import AccountRequest, BrokerAccount, RequestState
from copying.client import (
    AccountRefused,
    Client,
    ClientError,
    Forbidden,
    NotFound,
    NotReady,
    RateLimited,
    Rejected,
)
from copying.contract.provisioning import NewTradingAccount
from users.models import Connection, User
from users.services import record_audit

SALT = "accounts.adding"
REFUSED_LATELY = timedelta(hours=24)
MOST_REFUSALS = 5  # of one person within REFUSALS_WITHIN: failed attempts may be charged
REFUSALS_WITHIN = timedelta(hours=1)
AUTHENTICATION_FAILED = "E_AUTH"
CHECKING = "The broker is being asked whether the login is right. That takes a minute or more."
AUDITED = ("server", "platform", "copy_factory_roles", "currency", "balance", "leverage")
NO_API = "The backend does not let this token add accounts: it needs access to the accounts' API."


@dataclass(frozen=True)
class RequestOutcome:
    """What became of a request. text: a sentence; details: [{parameter, message}]; retry_at: when to ask again.

    is_repeated: the account was added by an earlier sending of the same form.
    """

    state: str
    text: str = ""
    account: BrokerAccount | None = None
    details: list[dict[str, Any]] = field(default_factory=list)
    servers: dict[str, list[str]] = field(default_factory=dict)
    slots: int | None = None
    code: str = ""
    retry_at: datetime | None = None
    is_repeated: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the same request is to be sent again."""
        return self.state in (RequestState.CHECKING, RequestState.UNKNOWN, RequestState.NOT_SENT)


def credentials_digest(values: Mapping[str, Any], password: str) -> str:
    """A keyed digest of what a broker checks; "" where there is no password."""
    if not password:
        return ""
    parts = [str(values.get(name, "")) for name in ("platform", "server", "login")]
    return salted_hmac(SALT, msgspec.json.encode([*parts, password]), algorithm="sha256").hexdigest()


def transaction_id(token: str, values: Mapping[str, Any], digest: str, by: User) -> str:
    """32 characters that are the same for the same form of the same person with the same content."""
    content = msgspec.json.encode([by.pk, token, dict(values), digest], order="sorted")
    return salted_hmac(f"{SALT}.transaction", content, algorithm="sha256").hexdigest()[:32]


def refused_before(connection: Connection, digest: str, *, now: datetime) -> datetime | None:
    """When the same login, password and server were refused within a day; None: they were not."""
    same = AccountRequest.objects.filter(
        connection=connection, digest=digest, code=AUTHENTICATION_FAILED, answered_at__gt=now - REFUSED_LATELY
    )
    return same.order_by("-answered_at").values_list("answered_at", flat=True).first() if digest else None


def has_failed_often(connection: Connection, by: User, *, now: datetime) -> bool:
    """Whether a person's logins were refused so often within an hour that the next one has to wait."""
    failed = AccountRequest.objects.filter(
        workspace_id=connection.workspace_id,
        asked_by=by,
        code=AUTHENTICATION_FAILED,
        answered_at__gt=now - REFUSALS_WITHIN,
    )
    return failed.count() >= MOST_REFUSALS


def add_account(
    connection: Connection,
    *,
    values: dict[str, Any],
    password: str,
    token: str,
    by: User,
    client: Client,
    now: datetime,
) -> RequestOutcome:
    """Ask for an account, or again for one that was asked for. values: fields of NewTradingAccount but the password."""
    digest = credentials_digest(values, password)
    request, _ = AccountRequest.objects.get_or_create(
        connection=connection,
        transaction_id=transaction_id(token, values, digest, by),
        defaults={
            "workspace_id": connection.workspace_id,
            "asked_by": by,
            "values": values,
            "digest": digest,
            "asked_at": now,
        },
    )
    if request.state == RequestState.DONE:
        own = BrokerAccount.objects.filter(connection=connection, backend_id=request.backend_id)
        return RequestOutcome(RequestState.DONE, account=own.first(), is_repeated=True)
    outcome = _send(request, password, client=client, now=now)
    request.state, request.code, request.answered_at = outcome.state, outcome.code, now
    request.backend_id = outcome.account.backend_id if outcome.account else ""
    request.save(update_fields=["state", "code", "answered_at", "backend_id"])
    if outcome.account is not None:
        details = {name: values[name] for name in AUDITED if name in values}
        record_audit(
            connection.workspace,
            user=by,
            action="trading account added",
            subject=outcome.account.name,
            details={"connection": connection.name, "id": outcome.account.backend_id, **details},
            now=now,
        )
    return outcome


def _send(request: AccountRequest, password: str, *, client: Client, now: datetime) -> RequestOutcome:
    fields: dict[str, Any] = {**request.values, "password": password or None}
    asked = NewTradingAccount(**fields)
    try:
        created = client.create_trading_account(asked, transaction_id=request.transaction_id)
    except NotReady as error:
        return RequestOutcome(RequestState.CHECKING, CHECKING, retry_at=error.retry_at)
    except RateLimited as error:
        return RequestOutcome(RequestState.NOT_SENT, f"Not added yet. {error.text}", retry_at=error.retry_at)
    except AccountRefused as error:
        return RequestOutcome(
            RequestState.REFUSED, error.text, servers=error.servers, slots=error.slots, code=error.code
        )
    except Rejected as error:
        return RequestOutcome(RequestState.REFUSED, _cause(error), details=error.details)
    except (Forbidden, NotFound):
        return RequestOutcome(RequestState.REFUSED, NO_API)
    except (ClientError, ImproperlyConfigured) as error:
        text = getattr(error, "text", str(error))
        if getattr(error, "may_be_done", False):
            lost = f"It was sent, but no answer came: {text} Send it again: it is not added twice."
            return RequestOutcome(RequestState.UNKNOWN, lost)
        return RequestOutcome(RequestState.NOT_SENT, f"Not added. {text}")
    account = mirror_account(
        request.connection, created.id, client=client, now=now, name=asked.name, state=created.state
    )
    return RequestOutcome(RequestState.DONE, account=account)


def _cause(error: Rejected) -> str:
    return "The backend refuses it: " + error.text.removeprefix("The backend refused the request: ").removeprefix(
        "Validation failed. "
    )


def mirror_account(
    connection: Connection, backend_id: str, *, client: Client, now: datetime, name: str = "", state: str = ""
) -> BrokerAccount:
    """The row of an account as the backend has it now; as little as is known where it cannot be asked at the moment."""
    try:
        document = client.trading_account_document(backend_id)
    except ClientError:
        document = {"_id": backend_id, "name": name, "state": state}
        if BrokerAccount.objects.filter(connection=connection, backend_id=backend_id).exists():
            return BrokerAccount.objects.get(connection=connection, backend_id=backend_id)
    keep_accounts(connection, [document], now=now)
    return BrokerAccount.objects.get(connection=connection, backend_id=backend_id)
