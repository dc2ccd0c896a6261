"""Every address of the API x everybody who might call x own, foreign and made-up object x every method.

The addresses come from the urlconf: one without a row here fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.urls import get_resolver

from tests.integration.api.worlds import world

pytestmark = pytest.mark.django_db
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
MADE_UP = 987_654_321
REFUSED = ("gone", "inactive", "paused", "revoked", "expired", "unknown", "nobody")
# what a token may do, by whom it is of
ROLES = {
    "owner": "owner", "manager": "manager", "accountant": "accountant", "viewer": "viewer", "subscriber": "subscriber",
    "other-client": "subscriber", "read-only": "owner", "leaver": "viewer", "service": "manager", "foreign": "owner",
    "foreign-client": "subscriber",
}  # fmt: skip
STAFF = ("owner", "manager", "accountant", "viewer")
EVERYBODY = (*STAFF, "subscriber")


@dataclass(frozen=True)
class Address:
    """Who may do what there. sees: the roles that get no 404; may: for each method; rows: the kind of the id.

    is_open: without a token; is_scoped: a client sees only what belongs to accounts of their own.
    """

    sees: tuple[str, ...] = STAFF
    may: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"get": EVERYBODY})
    rows: str = ""
    is_open: bool = False
    is_scoped: bool = False


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
    "payments": Address(),
    "payment": Address(rows="payment"),
    "periods": Address(),
    "period": Address(rows="period"),
    "connections": Address(),
    "connection": Address(rows="connection"),
    "attention": Address(),
}
WITHOUT_ROWS = {"nothing"}  # answers everything with the same 404: test_problems.py


@pytest.fixture
def worlds(workspace, charlie, dora):
    elsewhere = charlie.memberships.get().workspace
    return {"own": world(workspace, "Alpine", client=dora), "foreign": world(elsewhere, "Borealis")}


def routes() -> dict[str, str]:
    return {entry.name: str(entry.pattern) for entry in get_resolver("api.urls").url_patterns}


def path_of(name: str, pk: int = 0) -> str:
    return re.sub(r"<int:\w+>", str(pk), routes()[name]).replace("<slug:code>", "not-found")


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
    if address.is_scoped and who in ("other-client", "foreign-client"):
        return 404
    return 200 if is_own else 404


def attempts(address: Address, who: str, ids: dict[str, int]) -> Iterator[tuple[str, int, str]]:
    """What this caller tries: foreign and made-up objects only where the answer could depend on them."""
    for kind, pk in ids.items():
        is_first, may_differ = kind in ("", "own"), not address.is_open and who not in REFUSED
        for method in METHODS:
            if is_first or (may_differ and method in address.may):
                yield kind, pk, method


def test_every_address_has_a_row():
    assert set(routes()) - WITHOUT_ROWS == set(ADDRESSES)


@pytest.mark.parametrize("name", ADDRESSES)
def test_everybody_at_every_object_with_every_method(name, programs, worlds, monkeypatch, settings):
    settings.API_REQUESTS_PER_MINUTE = 100_000  # tried in test_limits.py
    monkeypatch.setattr("api.authentication.WRONG_TOKENS", 10_000)  # their brake is tried in test_tokens.py
    address, wrong = ADDRESSES[name], []
    for who, program in programs.items():
        theirs = "foreign" if who.startswith("foreign") else "own"
        others = "own" if theirs == "foreign" else "foreign"
        ids = {"": 0}
        if address.rows:
            ids = {kind: getattr(worlds[kind], address.rows).pk for kind in ("own", "foreign")} | {"made up": MADE_UP}
        for kind, pk, method in attempts(address, who, ids):
            answer = program.call(method, path_of(name, pk))
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
            answers = [programs[who].get(path_of(name, pk)) for pk in (foreign, MADE_UP)]
            assert answers[0].content == answers[1].content, who
            headers = [{name: value for name, value in one.items() if name != "RateLimit"} for one in answers]
            assert headers[0] == headers[1], who  # the second request finds one less left in its minute
