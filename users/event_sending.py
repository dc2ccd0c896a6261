"""Delivers events to the addresses of workspaces: any number of workers at once, safe to lose and to repeat.

A delivery is claimed with a lease, sent outside of any transaction, and its answer noted. An address gets one event at
a time; after a failure it is left in peace for a while, and the others go on. The receiver is not trusted: only public
addresses, no redirects, a time limit over all of it, and of the answer nothing but its status.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ssl
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import structlog
from django.conf import settings
from django.db import connection as database
from django.db import transaction
from django.utils import timezone

from copying.client.reach import GuardedNetwork, NotAllowed, PrivateReach, parse_reach
from users.audit import record_audit
from users.events import PREFIX, TEST, DeliveryState, EventDelivery, EventEndpoint, PortalEvent, emit, wake
from users.models import Membership, Role, User
from users.sending import CannotMail, MailKind, queue_mail, register_kind

log = structlog.get_logger(__name__)

TURN_S = 50.0
ATTEMPT_S = 10.0  # name, connection, request and answer together
LEASE_S = 60
MOST_READ = 64 * 1024
# after the first attempt, the second...: three days in all, as Standard Webhooks proposes
DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
MOST_ATTEMPTS = len(DELAYS) + 1
PAUSE = timedelta(seconds=30)  # of an address after a failure
SWITCHED_OFF_AFTER = timedelta(days=5)
KEPT = timedelta(days=30)
GONE = 410
SWITCHED_OFF_MAIL = register_kind(MailKind("endpoint-off", "Address of events switched off"))


# --- Signing ----------------------------------------------------------------------------------------------------------
def signature(secret: str, event_id: str, timestamp: int, body: str) -> str:
    """The `webhook-signature` of Standard Webhooks: v1, HMAC-SHA256 of id.timestamp.body, in base64."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


# --- The way out ------------------------------------------------------------------------------------------------------
class BoundedStream(httpcore.NetworkStream):
    """A connection that ends at a moment, however slowly the other side speaks."""

    def __init__(self, inner: httpcore.NetworkStream, stop_at: float) -> None:
        self.inner, self.stop_at = inner, stop_at

    def left(self, timeout: float | None, error: type[Exception]) -> float:
        """The seconds that a step may take. Raises `error` when the time is over."""
        left = self.stop_at - time.monotonic()
        if left <= 0:
            raise error("the time is over")
        return left if timeout is None else min(left, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, self.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self.left(timeout, httpcore.ConnectTimeout)
        return BoundedStream(self.inner.start_tls(ssl_context, server_hostname, left), self.stop_at)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class BoundedNetwork(GuardedNetwork):
    """Connects to allowed addresses, for a limited time."""

    def __init__(self, reach: PrivateReach, stop_at: float) -> None:
        super().__init__(reach)
        self.stop_at = stop_at

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = max(self.stop_at - time.monotonic(), 0.001)
        stream = super().connect_tcp(host, port, min(left, timeout or left), local_address, socket_options)
        return BoundedStream(stream, self.stop_at)


def bounded_client(seconds: float, reach: PrivateReach) -> httpx.Client:
    """A client for one attempt. It does not go through a proxy of the environment, which would resolve names itself."""
    transport = httpx.HTTPTransport(retries=0)
    pool = transport._pool
    assert isinstance(pool, httpcore.ConnectionPool)
    pool._network_backend = BoundedNetwork(reach, time.monotonic() + seconds)
    return httpx.Client(transport=transport, timeout=seconds, follow_redirects=False, trust_env=False)


def private_reach() -> PrivateReach:
    """The private addresses that events may go to: those that the installation names."""
    return parse_reach(tuple(settings.PRIVATE_EVENT_ADDRESSES))


def is_plain_allowed(url: str) -> bool:
    """Whether an address may be told without encryption: one that the installation names, in its own network."""
    parts = urlsplit(url)
    return (parts.hostname or "", parts.port or 80) in private_reach().hosts


@dataclass(frozen=True)
class EventAnswer:
    """What an attempt came to. status: of the answer, None: there was none; problem: why it failed, "": it did not."""

    status: int | None
    problem: str
    duration_ms: int

    @property
    def is_taken(self) -> bool:
        return not self.problem


def post(endpoint: EventEndpoint, event: PortalEvent, *, now: datetime, seconds: float = ATTEMPT_S) -> EventAnswer:
    """Send one event once."""
    return post_signed(endpoint.url, endpoint.secret, str(event.pk), event.body, now=now, seconds=seconds)


def post_signed(
    url: str,
    secret: str,
    message_id: str,
    body: str,
    *,
    now: datetime,
    seconds: float = ATTEMPT_S,
    reach: PrivateReach | None = None,
) -> EventAnswer:
    """Send a JSON text to an address that somebody entered, signed, once.

    reach: the private addresses it may go to; None: those that the installation names.
    """
    begun, status, problem = time.monotonic(), None, ""
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": "copyportal",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
    try:
        with bounded_client(seconds, private_reach() if reach is None else reach) as client:
            request = client.build_request("POST", url, content=body.encode(), headers=headers)
            answer = client.send(request, stream=True)
            try:
                status = answer.status_code
                problem = problem_of(status)
            finally:
                answer.close()  # of what it says nothing is read
    except (httpx.ConnectError, NotAllowed) as error:
        problem = "It cannot be reached: nothing answers there, or it lies in a private network."
        log.info("event not delivered", message=message_id, reason=type(error).__name__)
    except httpx.TimeoutException:
        problem = f"It did not answer within {seconds:g} seconds."
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.ConnectError, ValueError) as error:
        problem = "What it answered is no HTTP."
        log.info("event not delivered", message=message_id, reason=type(error).__name__)
    return EventAnswer(status, problem, int((time.monotonic() - begun) * 1000))


def problem_of(status: int) -> str:
    """Why a status is no success; "" for one that is."""
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"It answered {status}: redirects are not followed."
    return f"It answered {status}."


# --- The queue --------------------------------------------------------------------------------------------------------
_DUE = """d.state = 'queued' AND d.due_at <= clock_timestamp()
    AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())"""
# addresses with something due, none of whose deliveries is under way; those that work come first
_ENDPOINTS = f"""
SELECT e.id FROM users_eventendpoint e
WHERE e.is_enabled AND (e.paused_until IS NULL OR e.paused_until <= clock_timestamp())
  AND EXISTS (SELECT FROM users_eventdelivery d WHERE d.endpoint_id = e.id AND {_DUE})
  AND NOT EXISTS (SELECT FROM users_eventdelivery d WHERE d.endpoint_id = e.id AND d.state = 'queued'
                  AND d.lease_until >= clock_timestamp())
ORDER BY e.failing_since NULLS FIRST, e.id
"""


def due_endpoints() -> list[int]:
    """Addresses that are to be told something now."""
    with database.cursor() as cursor:
        cursor.execute(_ENDPOINTS)
        return [row[0] for row in cursor.fetchall()]


def claim(endpoint_id: int) -> EventDelivery | None:
    """Take the delivery of an address that is due for longest, or None."""
    token = uuid.uuid4()
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE users_eventdelivery SET lease_token = %(token)s, attempts = attempts + 1,"
            " lease_until = clock_timestamp() + make_interval(secs => %(lease)s) WHERE id = ("
            f"SELECT d.id FROM users_eventdelivery d WHERE d.endpoint_id = %(endpoint)s AND {_DUE}"
            " ORDER BY d.due_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            {"token": token, "lease": LEASE_S, "endpoint": endpoint_id},
        )
        row = cursor.fetchone()
    return EventDelivery.objects.select_related("event", "endpoint").get(pk=row[0]) if row else None


def deliver_due(*, turn_s: float = TURN_S, seconds: float = ATTEMPT_S) -> int:
    """Deliver until nothing is due or the time is up; returns how many were taken.

    Each address has one event told in its turn; one that failed is not asked again in this round.
    """
    taken, stop_at = 0, time.monotonic() + turn_s
    while endpoints := due_endpoints():
        for endpoint_id in endpoints:
            if time.monotonic() > stop_at:
                return taken
            delivery = claim(endpoint_id)
            if delivery is not None:
                taken += attempt(delivery, seconds=seconds)
    return taken


def attempt(delivery: EventDelivery, *, seconds: float = ATTEMPT_S) -> bool:
    """Send a claimed delivery and note the answer; whether it was taken."""
    answer = post(delivery.endpoint, delivery.event, now=timezone.now(), seconds=seconds)
    note_answer(delivery, answer, now=timezone.now())
    return answer.is_taken


@transaction.atomic
def note_answer(delivery: EventDelivery, answer: EventAnswer, *, now: datetime) -> None:
    """Write down what became of an attempt, unless another worker has the delivery by now."""
    endpoint = EventEndpoint.objects.select_for_update().get(pk=delivery.endpoint_id)
    row = EventDelivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token)
    values: dict[str, Any] = {
        "status": answer.status,
        "refusal": answer.problem[:200],
        "duration_ms": answer.duration_ms,
        "lease_token": None,
        "lease_until": None,
    }
    if answer.is_taken:
        values |= {"state": DeliveryState.DELIVERED, "settled_at": now}
    elif delivery.attempts >= MOST_ATTEMPTS:
        values |= {"state": DeliveryState.GIVEN_UP, "settled_at": now}
    else:
        values["due_at"] = now + DELAYS[delivery.attempts - 1]
    if not row.update(**values):
        log.warning("a delivery was taken over before its answer was noted", delivery=delivery.pk)
        return
    if answer.is_taken:
        endpoint.succeeded_at, endpoint.failing_since, endpoint.paused_until = now, None, None
    else:
        endpoint.failing_since = endpoint.failing_since or now
        endpoint.paused_until = now + PAUSE
    endpoint.save(update_fields=["succeeded_at", "failing_since", "paused_until"])
    if endpoint.is_enabled and (answer.status == GONE or is_hopeless(endpoint, now)):
        switch_off(endpoint, answer.problem, now=now)


def is_hopeless(endpoint: EventEndpoint, now: datetime) -> bool:
    """Whether it has failed for so long that it is switched off."""
    return endpoint.failing_since is not None and now - endpoint.failing_since >= SWITCHED_OFF_AFTER


def switch_off(endpoint: EventEndpoint, problem: str, *, now: datetime) -> None:
    """Tell an address nothing more, and the owners that it is so."""
    endpoint.is_enabled, endpoint.disabled_at = False, now
    endpoint.save(update_fields=["is_enabled", "disabled_at"])
    waiting = EventDelivery.objects.filter(endpoint=endpoint, state=DeliveryState.QUEUED)
    waiting.update(state=DeliveryState.WITHDRAWN, settled_at=now, refusal="The address was switched off.")
    workspace = endpoint.workspace
    record_audit(
        workspace,
        user=None,
        action="event address switched off",
        subject=endpoint.name,
        now=now,
        details={"address": endpoint.url, "reason": problem},
    )
    owners = Membership.objects.filter(workspace=workspace, role=Role.OWNER, deactivated_at=None, user__is_active=True)
    text = (
        f"{workspace.name} tells events to “{endpoint.name}”, {endpoint.url}.\n\nNothing was taken there since"
        f" {endpoint.failing_since:%d %B %Y, %H:%M} UTC. {problem}\n\nIt is switched off now. Look at it under"
        " Settings, Events, and switch it on again when it works; what was missed can be sent again from there.\n"
    )
    for member in owners.select_related("user"):
        with contextlib.suppress(CannotMail):  # without a mail server the page and the audit log say it
            queue_mail(
                workspace,
                kind=SWITCHED_OFF_MAIL,
                recipient=member.user.email,
                subject=f"Events are no longer told to {endpoint.name}",
                text=text,
                now=now,
            )


# --- Acts of people ---------------------------------------------------------------------------------------------------
@transaction.atomic
@transaction.atomic
def deliver_again(delivery: EventDelivery, *, by: User | None, now: datetime) -> None:
    """Send an event once more, with the same id, from the first attempt on; who asked for it is noted."""
    EventDelivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.QUEUED, attempts=0, due_at=now, settled_at=None, lease_token=None, lease_until=None
    )
    EventEndpoint.objects.filter(pk=delivery.endpoint_id).update(paused_until=None)
    details = {"event": delivery.event.kind, "id": str(delivery.event_id), "before": delivery.state}
    endpoint = delivery.endpoint
    record_audit(
        endpoint.workspace, user=by, action="event sent again", subject=endpoint.name, details=details, now=now
    )
    transaction.on_commit(wake)


@transaction.atomic
def send_test(endpoint: EventEndpoint, *, by: User | None, now: datetime) -> PortalEvent | None:
    """Tell one address of a test."""
    EventEndpoint.objects.filter(pk=endpoint.pk).update(paused_until=None)
    data = {"endpoint": endpoint.name, "asked_by": by.email if by else ""}
    return emit(endpoint.workspace_id, TEST, data, now=now, to=[endpoint])


def forget_old(now: datetime) -> int:
    """Events are kept for a month, their deliveries with them."""
    return PortalEvent.objects.filter(occurred_at__lt=now - KEPT).delete()[0]
