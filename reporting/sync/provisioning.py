"""Trading accounts as the provisioning API lists them, and what their terminals tell that no list does.

The list costs nothing at the vendor. A terminal costs credits: only accounts that run are asked, a few a run, those
that wait longest first: once a day where the figures come by the sync of balances anyway, else every ten minutes. What
one account answers is its own; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q

from accounts.mirror import AccountFigures, account_id_of, keep_accounts, keep_figures, mark_removed, note_asked
from accounts.models import BrokerAccount
from copying.client import Client, ClientError, NotFound
from reporting.rights import REFUSED_BY
from reporting.sync.source import Source
from reporting.sync.states import Lease, SyncOutcome
from reporting.sync.turns import CONCERNS_ALL, claim_turn, learn_limits, note_answers, paused
from subscribers.models import Subscriber
from users.models import Connection

ASKED_AGAIN_S = 3600
MOST_ASKED = 10
MOST_LOOKED_FOR = 50
AT_ONCE = 5
FACTS_EVERY = timedelta(days=1)
FIGURES_EVERY = timedelta(minutes=10)


def sync_trading_accounts(lease: Lease, *, source: Source, backend: Connection, now: datetime) -> SyncOutcome:
    """Mirror the list of accounts, then ask some terminals. Raises the client's errors."""
    seen: set[str] = set()
    try:
        for page in source.client.trading_accounts():
            documents = [document for document in page if account_id_of(document)]
            with transaction.atomic():
                lease.save(rows=keep_accounts(backend, documents, now=now))
            seen.update(account_id_of(document) for document in documents)
    except NotFound:
        lease.cursor |= {"is_offered": False, REFUSED_BY: 404}
        return SyncOutcome(complete_until=now, next_in_s=ASKED_AGAIN_S)
    _mark_gone(lease, backend, seen, client=source.client)
    ask_terminals(lease, backend, client=source.client, now=now)
    return SyncOutcome(complete_until=now)


def _mark_gone(lease: Lease, backend: Connection, seen: set[str], *, client: Client) -> None:
    """Accounts that the list does not have are asked for by id before they count as removed: pages are by offsets."""
    listed = BrokerAccount.objects.filter(connection=backend, is_removed=False).exclude(backend_id__in=seen)
    gone = []
    for backend_id in listed.order_by("id").values_list("backend_id", flat=True)[:MOST_LOOKED_FOR]:
        try:
            client.trading_account(backend_id)
        except NotFound:
            gone.append(backend_id)
    with transaction.atomic():
        lease.save(rows=mark_removed(backend, gone))


def ask_terminals(lease: Lease, backend: Connection, *, client: Client, now: datetime) -> None:
    """Ask the accounts that wait longest. Raises what concerns all, after what is known is stored."""
    swept = Subscriber.objects.filter(connection=backend, is_removed=False, measured_at__isnull=False)
    comes_by_sweep = Q(backend_id__in=swept.values("backend_id")) | Q(measured_at__gt=now - FIGURES_EVERY)
    figures_come = comes_by_sweep & Q(asked_at__gt=now - FACTS_EVERY)
    waits = Q(asked_at=None) | (Q(asked_at__lte=now - FIGURES_EVERY) & ~figures_come)
    running = BrokerAccount.objects.filter(
        connection=backend, is_removed=False, state="DEPLOYED", connection_status="CONNECTED"
    )
    waiting = running.filter(waits).exclude(backend_id__in=paused(backend, lease.kind, now))
    turn = waiting.order_by(F("asked_at").asc(nulls_first=True), "id")[:MOST_ASKED]
    wanted = [(account.backend_id, account.region) for account in turn]
    if not wanted:
        return
    learn_limits(backend, client, wanted[0][0], region=wanted[0][1], now=now)
    wanted = wanted[: claim_turn(backend, lease.kind, len(wanted), now=now).count]
    if not wanted:
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="accounts") as pool:
        answers = dict(pool.map(partial(_ask, client, now), wanted))
    errors: dict[str, Exception] = {key: value for key, value in answers.items() if isinstance(value, Exception)}
    of_all = next((error for error in errors.values() if isinstance(error, CONCERNS_ALL)), None)
    with transaction.atomic():
        figures: Iterable[Any] = (value for value in answers.values() if isinstance(value, AccountFigures))
        rows = keep_figures(backend, figures)
        had_turn = {key: _trouble(answers[key]) for key in answers if not isinstance(answers[key], CONCERNS_ALL)}
        note_asked(backend, had_turn, now=now)
        well = [key for key, value in answers.items() if isinstance(value, AccountFigures)]
        silent = {key: value for key, value in answers.items() if isinstance(value, ClientError)}
        note_answers(backend, lease.kind, well, silent, now=now)
        lease.save(rows=rows)
    if of_all is not None:
        raise of_all


def _ask(client: Client, now: datetime, wanted: tuple[str, str]) -> tuple[str, AccountFigures | ClientError]:
    """What one terminal tells, or why it does not."""
    account_id, region = wanted
    try:
        where: Any = {"region": region} if region else {}
        return account_id, AccountFigures.of_terminal(account_id, client.terminal_information(account_id, **where), now)
    except ClientError as error:
        return account_id, error


def _trouble(answer: AccountFigures | ClientError) -> str:
    """What the page of an account says of its last turn."""
    return answer.text if isinstance(answer, ClientError) else ""
