"""Balances and positions of many accounts under the vendor's credits: how old the oldest figure is, and what it takes.

    python -m copyportal.services run -- python tests/benchmarks/bench_accounts.py --accounts 10000

The syncs as workers run them, over real HTTP to a stand-in on loopback that counts credits by its own rule and refuses
what passes them. Only the clock is the benchmark's: a run takes what it really took and the latency of its requests,
and pauses pass at once, so that hours end in minutes. Beside it, in the same run, the naive way, for a bounded time: a
client for each call, all in a row, waiting when it is told to. Uses a database of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ["SECRET_KEY"] = os.environ.get("SECRET_KEY") or "a-key-only-for-measuring-0123456789-0123456789-abcdefgh"
os.environ["PRIVATE_BACKENDS"] = "127.0.0.0/8"

from tests.benchmarks import many_rows
from tests.faults.account_api import AccountApi, Served

many_rows.ENDING = "_accounts"
PER_MINUTE = 18_000  # credits that the stand-in allows
PER_ACCOUNT = 100  # a balance and the positions
AT_ONCE = 5


class Clock:
    """The stand-in's and the benchmark's time."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def connect(url: str):
    """The connection of the many accounts, leading to the stand-in, with nothing known of them."""
    from django.db import connection

    from reporting.models import AccountPause, CreditPool, EquityPoint, OpenPosition, PositionReading, SyncState
    from subscribers.models import Subscriber
    from users.models import Connection

    for model in (AccountPause, CreditPool, EquityPoint, OpenPosition, PositionReading, SyncState):
        model.objects.all().delete()
    backend = Connection.objects.get()
    backend.base_url, backend.is_enabled = url, True
    backend.set_token("a.b.c")
    backend.save()
    Subscriber.objects.update(asked_at=None, measured_at=None, balance=None, equity=None, currency="")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return backend


def oldest_s(backend, now: datetime, column: str) -> float | None:
    """Age of the oldest figure; None: one is not known yet."""
    from django.db.models import Min, Q

    from reporting.models import PositionReading
    from subscribers.models import Subscriber

    if column == "balances":
        own, name = Subscriber.objects.filter(connection=backend, is_removed=False), "measured_at"
    else:
        own, name = PositionReading.objects.filter(connection=backend, is_strategy=False), "read_at"
    if not own.exists() or own.filter(Q(**{name: None})).exists():
        return None
    return (now - own.aggregate(oldest=Min(name))["oldest"]).total_seconds()


def sweep(backend, api: AccountApi, clock: Clock, *, until: datetime, latency_s: float) -> Counter[str]:
    """Run the kinds that ask accounts when each is due by the clock; prints what is known every five minutes."""
    from django.utils import timezone

    from reporting.models import SyncKind, SyncState
    from reporting.sync import run, states

    states.ensure_states()
    due = dict.fromkeys((SyncKind.PROVISIONING, SyncKind.ACCOUNTS, SyncKind.POSITIONS), clock.now)
    told: Counter[str] = Counter()
    say_at = clock.now + timedelta(minutes=5)
    while min(due.values()) < until:
        kind = min(due, key=lambda one: due[one])
        clock.now = max(clock.now, due[kind])
        SyncState.objects.update(due_at=timezone.now() + timedelta(hours=1), lease_until=None, lease_token=None)
        states.request_sync(backend, [kind])
        lease = states.claim_due()
        assert lease is not None
        before, began = api.requests, time.perf_counter()
        run.run_one(lease, open_client=run.client_for, now=clock.now)
        took_s = time.perf_counter() - began
        state = SyncState.objects.get(connection=backend, kind=kind)
        told["busy_ms"] += int(took_s * 1000)
        told["runs"] += 1
        told["failed"] += bool(state.error)
        pause_s = (max(state.due_at, state.held_until or state.due_at) - timezone.now()).total_seconds()
        away_s = latency_s * -(-(api.requests - before) // AT_ONCE)
        due[kind] = clock.now + timedelta(seconds=took_s + away_s + max(pause_s, 0))
        if clock.now >= say_at:
            say_at += timedelta(minutes=5)
            ages = {name: oldest_s(backend, clock.now, name) for name in ("balances", "positions")}
            print(
                f"  {(clock.now - START).total_seconds() / 60:5.0f} min: oldest"
                + "".join(f" {name} {age / 60:.1f} min" for name, age in ages.items() if age is not None)
                + f", {api.spent:,} credits, {api.limited} refused, {memory_mb():.0f} MB",
                flush=True,
            )
    return told


def naive(url: str, ids: list[str], api: AccountApi, clock: Clock, *, bound_s: float, latency_s: float) -> int:
    """Accounts asked within a bounded time: a client for each call, one after another, waiting when told to."""
    from copying.client import Client, RateLimited, parse_reach

    reach = parse_reach(("127.0.0.0/8",))
    until = time.perf_counter() + bound_s
    for done, account_id in enumerate(ids):
        for call in ("terminal_information", "terminal_positions"):
            while True:
                before, began = api.requests, time.perf_counter()
                try:
                    with Client("a.b.c", base_url=url, retries=0, wait_budget_s=0, reach=reach) as client:
                        getattr(client, call)(account_id)
                    wait_until = clock.now
                except RateLimited as error:
                    wait_until = error.retry_at
                took_s = time.perf_counter() - began + latency_s * (api.requests - before)
                is_answered = wait_until <= clock.now
                clock.now = max(clock.now + timedelta(seconds=took_s), wait_until)
                if is_answered:
                    break
        if time.perf_counter() > until:
            return done + 1
    return len(ids)


def main() -> None:
    global START
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--positions", type=int, default=1, help="that each account holds")
    parser.add_argument("--rounds", type=float, default=1.6, help="how often every account could be asked")
    parser.add_argument("--latency-ms", type=float, default=150, help="of each request, added to the clock")
    parser.add_argument("--naive-seconds", type=float, default=30, help="of real time")
    chosen = parser.parse_args()
    many_rows.prepare(chosen.accounts, 1_000)
    clock, latency_s = Clock(), chosen.latency_ms / 1000
    START = clock.now
    ids = [f"a{number:05}" for number in range(chosen.accounts)]
    least_s = chosen.accounts * PER_ACCOUNT / PER_MINUTE * 60

    api = AccountApi(dict.fromkeys(ids, "USD"), clock=clock, positions=chosen.positions)
    with Served(api) as served:
        backend = connect(served.url)
        at_first_mb, began = memory_mb(), time.perf_counter()
        told = sweep(backend, api, clock, until=START + timedelta(seconds=least_s * chosen.rounds), latency_s=latency_s)
        minutes = (clock.now - START).total_seconds() / 60
        print(
            f"ours: {api.requests / minutes:.0f} requests a minute ({told['runs']} runs, {told['failed']} failed),"
            f" {api.spent / minutes:,.0f} of {PER_MINUTE:,} credits, {api.limited} refused"
        )
        for name in ("balances", "positions"):
            age = oldest_s(backend, clock.now, name)
            words = "not all known" if age is None else f"{age / 60:.1f} min, {age / least_s:.2f} times"
            print(f"  oldest of {name}: {words} (the credits allow {least_s / 60:.1f} min)")
        print(
            f"  memory {memory_mb():.0f} MB at most, the stand-in in it ({memory_mb() - at_first_mb:+.0f});"
            f" busy {told['busy_ms'] / 600 / minutes:.1f} % of the time; took {time.perf_counter() - began:.0f} s"
        )

    clock = Clock()
    api = AccountApi(dict.fromkeys(ids, "USD"), clock=clock, positions=chosen.positions)
    began_at = clock.now
    with Served(api) as served:
        done = naive(served.url, ids, api, clock, bound_s=chosen.naive_seconds, latency_s=latency_s)
    minutes = (clock.now - began_at).total_seconds() / 60
    whole_min = minutes * chosen.accounts / done
    print(
        f"naive: {done} accounts in {minutes:.1f} min, {api.requests / minutes:.0f} requests a minute,"
        f" {api.limited} refused: {whole_min:.0f} min for all, {whole_min * 60 / least_s:.2f} times"
    )


START = datetime.now(UTC)

if __name__ == "__main__":
    main()
