"""Named tokens of the embedded backend: listed, read-only, ended, revoked while it runs; and a limit on wrong ones."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import httpx
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from copying.backend import tokens
from copying.backend.http import auth
from copying.backend.http.auth import WRONG_TOKENS_PER_MINUTE, Gate
from copying.backend.http.options import database_url
from copying.backend.http.rate_limits import TokenBuckets
from copying.backend.http.token_list import TokenList, read_list
from copying.models import BackendToken, Tenant

pytestmark = pytest.mark.django_db(transaction=True)


def made(*arguments: str) -> str:
    printed = StringIO()
    call_command("backendtoken", "--name", "Robot", *arguments, stdout=printed)
    return printed.getvalue().strip()


def listing(*arguments: str) -> str:
    printed = StringIO()
    call_command("backendtokens", *arguments, stdout=printed)
    return printed.getvalue()


async def answers(token: str, method: str = "GET", token_list: TokenList | None = None) -> int:
    """The status of a request with a token, behind the gate alone."""

    async def inside(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    if token_list is None:
        token_list = TokenList()
        await read_list(database_url(), token_list)
    gate = Gate(inside, TokenBuckets(6000), token_list=token_list)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://backend") as http:
        return (await http.request(method, "/users/current/x", headers={"auth-token": token})).status_code


def run(coroutine):
    return asyncio.run(coroutine)


def test_a_named_token_is_listed_by_its_digest_and_works():
    token = made("--tenant", "firm", "--days", "30")
    row = BackendToken.objects.get()
    assert (row.digest, row.tenant_id, row.scope, row.hint) == (tokens.digest_of(token), "firm", "trade", token[-4:])
    assert token not in listing()
    assert f"firm  Robot  …{token[-4:]}  trade  active  until " in listing("--tenant", "firm")
    assert run(answers(token, "POST")) == 204


def test_a_token_that_reads_changes_nothing():
    token = made("--scope", "read")
    assert (run(answers(token)), run(answers(token, "PUT"))) == (204, 403)


def test_a_revoked_and_an_expired_token_open_nothing():
    token = made()
    BackendToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert run(answers(token)) == 401
    BackendToken.objects.update(expires_at=None)
    assert run(answers(token)) == 204
    assert "revoked" in listing("--revoke", "Robot")
    assert run(answers(token)) == 401
    with pytest.raises(CommandError, match="No token"):
        listing("--revoke", "Robot")


def test_a_tenant_can_take_listed_tokens_only():
    plain = tokens.issue("firm")
    Tenant.objects.create(pk="firm", name="firm")
    with pytest.raises(CommandError, match="no token with a name"):
        listing("--tenant", "firm", "--only-listed", "yes")
    token = made("--tenant", "firm")
    assert run(answers(plain)) == 204
    listing("--tenant", "firm", "--only-listed", "yes")
    assert (run(answers(plain)), run(answers(token))) == (401, 204)
    listing("--tenant", "firm", "--only-listed", "no")
    assert run(answers(plain)) == 204


def test_a_named_token_whose_row_is_gone_opens_nothing():
    token = made("--scope", "read")
    BackendToken.objects.all().delete()
    assert (run(answers(token)), run(answers(token, "POST"))) == (401, 401)
    assert run(answers(tokens.issue("local"), "POST")) == 204


def test_an_expired_token_is_none_that_a_tenant_could_take():
    made("--tenant", "firm")
    BackendToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CommandError, match="no token with a name that works"):
        listing("--tenant", "firm", "--only-listed", "yes")


def test_a_name_that_would_be_cut_off_is_refused():
    with pytest.raises(CommandError, match="at most 80"):
        call_command("backendtoken", "--name", "n" * 81)
    assert not BackendToken.objects.exists()


def test_the_last_use_is_noted():
    token = made()

    async def use() -> None:
        token_list = TokenList()
        async with await psycopg.AsyncConnection.connect(database_url(), autocommit=True) as connection:
            await token_list.refresh(connection)
            await answers(token, token_list=token_list)
            await token_list.note_uses(connection)

    run(use())
    assert timezone.now() - BackendToken.objects.get().last_used_at < timedelta(minutes=1)


def test_many_wrong_tokens_wait_and_right_ones_do_not(monkeypatch):
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: 7.0, time=lambda: 7.0))  # all at one moment
    token = made()

    async def flood() -> tuple[int, int, int]:
        async def inside(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        token_list = TokenList()
        await read_list(database_url(), token_list)
        gate = Gate(inside, TokenBuckets(6000), token_list=token_list)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://backend") as http:
            wrong = [
                await http.get("/users/current/x", headers={"auth-token": f"a.b.{number}"})
                for number in range(WRONG_TOKENS_PER_MINUTE + 20)
            ]
            right = (await http.get("/users/current/x", headers={"auth-token": token})).status_code
        assert wrong[-1].json()["metadata"]["type"] == "LIMIT_REQUEST_RATE_PER_ADDRESS"
        return wrong[0].status_code, wrong[-1].status_code, right

    assert run(flood()) == (401, 429, 204)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--days", "0"], "1 to 3650"), (["--days", "3651"], "1 to 3650")],
)
def test_an_impossible_end_is_told_in_a_sentence(arguments, words):
    with pytest.raises(CommandError, match=words):
        made(*arguments)


def test_only_a_name_makes_a_scope_and_a_name_is_there_once():
    with pytest.raises(CommandError, match="add --name"):
        call_command("backendtoken", "--scope", "read")
    made()
    with pytest.raises(CommandError, match="already"):
        made()
