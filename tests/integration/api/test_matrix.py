"""Every address of the API x everybody who might call x own, foreign and made-up object x every method.

The addresses come from the urlconf: one without a row here fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.urls import get_resolver

from copying.client import Unreachable
from copying.client.exchange import Exchange
from editing.backend import NotDone
from tests.integration.api.worlds import PART, world

pytestmark = pytest.mark.django_db
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
MADE_UP = 987_654_321

REFUSED = ("gone", "inactive", "paused", "revoked", "expired", "unknown", "nobody")
# what a token may do, by whom it is of
ROLES = {
    "owner": "owner",
    "manager": "manager",
    "accountant": "accountant",
    "viewer": "viewer",
    "subscriber": "subscriber",
    "other-client": "subscriber",
    "read-only": "owner",
    "leaver": "viewer",
    "service": "manager",
    "foreign": "owner",
    "foreign-client": "subscriber",
}
STAFF = ("owner", "manager", "accountant", "viewer")
EVERYBODY = (*STAFF, "subscriber")


@dataclass(frozen=True)
class Address:
    """Who may do what there. sees: the roles that get no 404; may: for each method; rows: the kind of the id.

    is_open: without a token; is_scoped: a client sees only what belongs to accounts of their own; is_personal: a
    service has none of it. bodies: a valid one for each write, which the row's own people get as far as `done` with:
    the backend of these worlds is away.
    """

    sees: tuple[str, ...] = STAFF
    may: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"get": EVERYBODY})
    rows: str = ""
    is_open: bool = False
    is_scoped: bool = False
    is_personal: bool = False
    bodies: dict[str, dict] = field(default_factory=dict)
    done: int = 503


MANAGERS = ("owner", "manager")
BILLERS = (*MANAGERS, "accountant")
READ_BY_STAFF = {"get": STAFF}
SETTINGS = {"may": READ_BY_STAFF | {"patch": MANAGERS}, "bodies": {"patch": {"settings": {"maxTradeVolume": 1}}}}


def act(rows: str, body: dict | None = None, *, done: int = 200, may: tuple[str, ...] = MANAGERS) -> Address:
    """Something that is done to a row."""
    return Address(rows=rows, may={"post": may}, bodies={"post": body or {}}, done=done)


OF_ACCOUNT = Address(EVERYBODY, rows="account", is_scoped=True)
ADDRESSES = {
    "index": Address(is_open=True),
    "schema": Address(is_open=True),
    "problem": Address(is_open=True),
    "workspaces": Address(EVERYBODY),
    "workspace": Address(EVERYBODY, rows="workspace"),
    "token": Address(EVERYBODY),
    "strategies": Address(),
    "strategy": Address(rows="strategy"),
    "subscribers": Address(EVERYBODY),
    "subscriber": OF_ACCOUNT,
    "subscriptions": OF_ACCOUNT,
    "equity": OF_ACCOUNT,
    "commission-lines": OF_ACCOUNT,
    "strategy-settings": Address(rows="strategy", **SETTINGS),
    "member-settings": Address(rows="portfolio", **SETTINGS),
    "subscriber-settings": Address(rows="account", **SETTINGS),
    "subscription-settings": Address(rows="account", **SETTINGS),
    "close-only": Address(rows="account", may={"post": MANAGERS}, bodies={"post": {"mode": "by-position"}}),
    "subscribers-bulk": Address(
        may={"post": MANAGERS},
        bodies={"post": {"selection": {"filter": {}}, "change": {"act": "set-ratio", "value": 0.5}}},
        done=202,
    ),
    "bulk": Address(rows="bulk", may=READ_BY_STAFF),
    "bulk-rows": Address(rows="bulk", may=READ_BY_STAFF),
    "cancel-bulk": Address(rows="bulk", may={"post": MANAGERS}, bodies={"post": {}}, done=200),
    "undo-bulk": Address(rows="bulk", may={"post": MANAGERS}, bodies={"post": {"confirm": "1"}}, done=202),
    "change": Address(rows="change", may=READ_BY_STAFF),
    "undo-change": Address(rows="change", may={"post": MANAGERS}, bodies={"post": {"confirm": "x"}}),
    "stopouts": Address(),
    "stopout": Address(rows="stopout"),
    "transactions": Address(EVERYBODY),
    "transaction": Address(EVERYBODY, rows="transaction", is_scoped=True),
    "decisions": Address(),
    "decision": Address(rows="decision"),
    "own-decisions": Address(("subscriber",)),
    "log": Address(),
    "commissions": Address(EVERYBODY),
    "statements": Address(EVERYBODY),
    "statement": Address(EVERYBODY, rows="statement", is_scoped=True),
    "statement-lines": Address(EVERYBODY, rows="statement", is_scoped=True),
    "payments": Address(
        may=READ_BY_STAFF | {"post": ("owner", "manager", "accountant")},
        bodies={"post": {"subscriber": MADE_UP, "amount": "1", "currency": "USD", "received_on": "2026-01-05"}},
        done=404,  # of an account that nobody has: test_acts.py records one
    ),
    "reset-stopout": Address(rows="stopout", may={"post": MANAGERS}, bodies={"post": {}}),
    "close-signal": Address(rows="strategy", may={"post": MANAGERS}, bodies={"post": {"volume": 0.1}}),
    "payment": Address(rows="payment"),
    "periods": Address(),
    "period": Address(rows="period"),
    "connections": Address(),
    "connection": Address(rows="connection"),
    "attention": Address(),
    # twice in a row each of these comes to the same; what changes something is tried in test_people.py and others
    "members": Address(may=READ_BY_STAFF),
    "member": Address(rows="member", may=READ_BY_STAFF),
    "member-role": act("member", {"role": "subscriber"}),
    "member-accounts": act("member", {"subscribers": []}),
    "deactivate-member": act("member"),
    "activate-member": act("member"),
    "remove-member": act("member", {"confirm": "somebody else"}, done=422),
    "invitations": Address(
        may={"get": MANAGERS, "post": MANAGERS},
        bodies={"post": {"email": "new@example.com", "role": "subscriber", "subscribers": [MADE_UP]}},
        done=404,
    ),
    "invitation": Address(rows="invitation", may={"get": MANAGERS}),
    "resend-invitation": act("invitation"),
    "revoke-invitation": act("invitation"),
    "event-endpoints": Address(
        may=READ_BY_STAFF | {"post": MANAGERS}, bodies={"post": {"name": "x", "url": "https://example.com/"}}, done=201
    ),
    "event-endpoint": Address(
        rows="endpoint", may=READ_BY_STAFF | {"patch": MANAGERS}, bodies={"patch": {"kinds": []}}, done=200
    ),
    "event-endpoint-secret": act("endpoint"),
    "event-endpoint-test": act("endpoint"),
    "event-endpoint-remove": act("endpoint", {"confirm": "another"}, done=422),
    "event-deliveries": Address(rows="endpoint", may=READ_BY_STAFF),
    "event-delivery": Address(rows="delivery", may=READ_BY_STAFF),
    "repeat-event-delivery": act("delivery"),
    "notifications": Address(
        EVERYBODY,
        may={"get": EVERYBODY, "patch": EVERYBODY},
        bodies={"patch": {"digest_hour": 8}},
        done=200,
        is_personal=True,
    ),
    "notifications-sent": Address(EVERYBODY, is_personal=True),
    "job": Address(rows="job", may=READ_BY_STAFF),
    "close-periods": Address(may={"post": BILLERS}, bodies={"post": {"until": "2001-01-01T00:00:00Z"}}, done=422),
    "close-period": Address(rows="closed_period", may={"post": BILLERS}, bodies={"post": {}}, done=422),
    "issue-statements": Address(may={"post": BILLERS}, bodies={"post": {"due_on": "2001-01-01"}}, done=422),
    "void-statement": act("statement", {"reason": "a\u0007"}, done=422, may=BILLERS),
    "credit-note": act("statement", {"reason": "x", "amount": "0"}, done=422, may=BILLERS),
    "undo-payment": act("payment", {"reason": "a\u0007"}, done=422, may=BILLERS),
}
WITHOUT_ROWS = {"nothing"}  # answers everything with the same 404: test_problems.py


@pytest.fixture
def worlds(workspace, charlie, dora):
    elsewhere = charlie.memberships.get().workspace
    return {"own": world(workspace, "Alpine", client=dora), "foreign": world(elsewhere, "Borealis")}


def routes() -> dict[str, str]:
    return {entry.name: str(entry.pattern) for entry in get_resolver("api.urls").url_patterns}


def path_of(name: str, pk: int = 0) -> str:
    path = re.sub(r"<int:\w+>", str(pk), routes()[name]).replace("<slug:code>", "not-found")
    return path.replace("<str:strategy_id>", PART).replace("<str:signal_id>", "sig00001")


def expected(address: Address, who: str, method: str, is_own: bool) -> int:
    """The status that the rules of the table give."""
    reads = method in ("get", "head")
    if address.is_open:
        return 200 if reads else 405
    if who in REFUSED:
        return 401
    if who == "read-only" and method not in ("get", "head", "options"):
        return 403
    may = address.may.get("get" if reads else method)
    if may is None:
        return 405
    role = ROLES[who]
    if role not in address.sees:
        return 404
    if role not in may:
        return 403
    if address.is_personal and who == "service":
        return 404
    if address.is_scoped and who in ("other-client", "foreign-client"):
        return 404
    if not is_own:
        return 404
    return 200 if reads else address.done


def attempts(address: Address, who: str, ids: dict[str, int]) -> Iterator[tuple[str, int, str]]:
    """What this caller tries: foreign and made-up objects only where the answer could depend on them."""
    for kind, pk in ids.items():
        is_first, may_differ = kind in ("", "own"), not address.is_open and who not in REFUSED
        for method in METHODS:
            if is_first or (may_differ and method in address.may):
                yield kind, pk, method


def away(connection, **patience):
    raise NotDone("Nothing was changed. The backend is away.")


def unreachable(self, request, host):
    raise Unreachable("Cannot reach the backend.", was_sent=False, transient=False)


def ask(program, method: str, path: str, body: dict | None):
    """One attempt; a write with all that it needs."""
    if method in ("get", "head", "options"):
        return program.call(method, path)
    return program.write(method, path, body, version="*")


def test_every_address_has_a_row():
    assert set(routes()) - WITHOUT_ROWS == set(ADDRESSES)


def test_every_write_has_a_body_that_its_address_takes():
    """A handler without a row of the table, or one that does its work without a key, fails here."""
    for entry in get_resolver("api.urls").url_patterns:
        view = entry.callback.view_class
        if entry.name in WITHOUT_ROWS or ADDRESSES[entry.name].is_open:
            continue
        address, taken = ADDRESSES[entry.name], {method.lower() for method in view.guards}
        assert taken == set(address.may), entry.name
        for method in taken - {"get"}:
            assert hasattr(getattr(view, method), "write_sort"), (entry.name, method)
            assert method in address.bodies, (entry.name, method)


@pytest.mark.parametrize("name", ADDRESSES)
def test_everybody_at_every_object_with_every_method(name, programs, worlds, monkeypatch, settings):
    settings.API_REQUESTS_PER_MINUTE = 100_000  # tried in test_limits.py
    settings.API_WRITES_PER_MINUTE = 100_000
    monkeypatch.setattr("api.authentication.WRONG_TOKENS", 10_000)  # their brake is tried in test_tokens.py
    monkeypatch.setattr("api.edits.backend_of", away)
    monkeypatch.setattr("editing.bulk_review.backend_of", away)
    monkeypatch.setattr(Exchange, "_send", unreachable)
    address, wrong = ADDRESSES[name], []
    for who, program in programs.items():
        theirs = "foreign" if who.startswith("foreign") else "own"
        others = "own" if theirs == "foreign" else "foreign"
        ids = {"": 0}
        if address.rows:
            ids = {kind: getattr(worlds[kind], address.rows).pk for kind in ("own", "foreign")} | {"made up": MADE_UP}
        for kind, pk, method in attempts(address, who, ids):
            answer = ask(program, method, path_of(name, pk), address.bodies.get(method))
            status = expected(address, who, method, kind in ("", theirs))
            if answer.status_code != status:
                wrong.append((who, kind, method, answer.status_code, status))
            words = {"own": b"Alpine", "foreign": b"Borealis"}[others]
            assert words not in answer.content, (who, kind, method)
            assert who != "other-client" or b"Alpine account" not in answer.content, (kind, method)
            assert answer["Cache-Control"] == "no-store" or address.is_open, (who, kind, method)
            if answer.status_code >= 400:
                assert answer["Content-Type"] == "application/problem+json", (who, kind, method)
    assert wrong == []


@pytest.mark.parametrize("name", [name for name, address in ADDRESSES.items() if address.rows])
def test_a_foreign_row_answers_like_one_that_nobody_has(name, programs, worlds):
    foreign = getattr(worlds["foreign"], ADDRESSES[name].rows).pk
    for who in ROLES:
        if not who.startswith("foreign"):
            address = ADDRESSES[name]
            method = "get" if "get" in address.may else "post"
            answers = [
                ask(programs[who], method, path_of(name, pk), address.bodies.get(method)) for pk in (foreign, MADE_UP)
            ]
            assert answers[0].content == answers[1].content, who
            headers = [{name: value for name, value in one.items() if name != "RateLimit"} for one in answers]
            assert headers[0] == headers[1], who  # the second request finds one less left in its minute
