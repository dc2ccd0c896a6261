"""Every address of the API x everybody who might call x own, foreign and made-up object x every method.

The addresses come from the urlconf: one without a row here fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from django.urls import get_resolver

from tests import builders

pytestmark = pytest.mark.django_db
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
MADE_UP = 987_654_321
REFUSED = ("gone", "inactive", "revoked", "expired", "unknown", "nobody")
# what a token may do, by whom it is of
ROLES = {
    "owner": "owner", "manager": "manager", "accountant": "accountant", "viewer": "viewer", "subscriber": "subscriber",
    "read-only": "owner", "leaver": "viewer", "service": "manager", "foreign": "owner", "foreign-client": "subscriber",
}  # fmt: skip
STAFF = ("owner", "manager", "accountant", "viewer")
EVERYBODY = (*STAFF, "subscriber")


@dataclass(frozen=True)
class Address:
    """Who may do what there. sees: the roles that get no 404; may: for each method; rows: the kind of the id."""

    sees: tuple[str, ...] = STAFF
    may: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"get": EVERYBODY})
    rows: str = ""
    is_open: bool = False


ADDRESSES = {
    "index": Address(is_open=True),
    "schema": Address(is_open=True),
    "problem": Address(is_open=True),
    "workspaces": Address(EVERYBODY),
    "workspace": Address(EVERYBODY, rows="workspace"),
    "token": Address(EVERYBODY),
    "strategies": Address(),
    "strategy": Address(rows="strategy"),
}
WITHOUT_ROWS = {"nothing"}  # answers everything with the same 404: test_problems.py


def world(workspace, name: str) -> SimpleNamespace:
    """A row of every kind that an address can name, with words that only this workspace has."""
    connection = builders.connection(workspace, name=f"{name} backend")
    strategy = builders.strategy(connection, name=f"{name} strategy", document={"name": f"{name} strategy"})
    return SimpleNamespace(workspace=workspace, strategy=strategy)


@pytest.fixture
def worlds(workspace, charlie, dora):
    elsewhere = charlie.memberships.get().workspace
    return {"own": world(workspace, "Alpine"), "foreign": world(elsewhere, "Borealis")}


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
    return 200 if is_own else 404


def test_every_address_has_a_row():
    assert set(routes()) - WITHOUT_ROWS == set(ADDRESSES)


@pytest.mark.parametrize("name", ADDRESSES)
def test_everybody_at_every_object_with_every_method(name, programs, worlds, monkeypatch):
    monkeypatch.setattr("api.authentication.WRONG_TOKENS", 10_000)  # their brake is tried in test_tokens.py
    address, wrong = ADDRESSES[name], []
    for who, program in programs.items():
        theirs = "foreign" if who.startswith("foreign") else "own"
        others = "own" if theirs == "foreign" else "foreign"
        ids = {"": 0}
        if address.rows:
            ids = {kind: getattr(worlds[kind], address.rows).pk for kind in ("own", "foreign")} | {"made up": MADE_UP}
        for kind, pk in ids.items():
            for method in METHODS:
                answer = program.call(method, path_of(name, pk))
                status = expected(address, who, method, kind in ("", theirs))
                if answer.status_code != status:
                    wrong.append((who, kind, method, answer.status_code, status))
                words = {"own": b"Alpine", "foreign": b"Borealis"}[others]
                assert words not in answer.content, (who, kind, method)
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
            assert dict(answers[0].headers) == dict(answers[1].headers), who
