"""A page whose statement takes too long says so within its time, and leaves the connection as it was."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection, transaction
from django.http import HttpResponse

from users import time_limit, views
from users.time_limit import StatementLimit, was_too_long

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = "SELECT pg_sleep(20)"


def limit_now() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def page(monkeypatch, settings, sign_in, alice):
    """A function that asks for the page of settings, which executes this SQL first."""
    settings.PAGE_STATEMENT_SECONDS = 0.2

    def ask(sql: str, method: str = "get", address: str = "/settings/", **headers):
        limits = []

        def slow_render(request, *_, **__):
            limits.append(limit_now())
            execute(sql)
            return HttpResponse("made")

        monkeypatch.setattr(views, "render", slow_render)
        answer = getattr(sign_in(alice), method)(address, headers=headers)
        return answer, limits[-1] if limits else None

    return ask


def test_a_page_that_takes_too_long_says_so_and_what_to_do(page, monkeypatch):
    warnings = []

    def warn(event, **facts):
        warnings.append((event, facts))

    monkeypatch.setattr(time_limit.log, "warning", warn, raising=False)
    answer, _ = page(SLOW)
    text = answer.content.decode()
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "This page takes too long" in text
    assert "choose a shorter period" in text
    assert "<html" in text
    assert warnings == [("page took too long", {"path": "/settings/", "seconds": 0.2})]
    assert limit_now() == "0"


def test_a_part_says_so_as_a_part(page):
    answer, _ = page(SLOW, **{"HX-Request": "true"})
    assert answer.status_code == 503
    assert "<html" not in answer.content.decode()


def test_other_pages_are_as_before_and_leave_no_limit(page):
    answer, limit = page("SELECT 1")
    assert (answer.status_code, answer.content, limit) == (200, b"made", "200ms")
    assert limit_now() == "0"


def test_files_and_changes_have_no_limit(page):
    assert page("SELECT 1", address="/settings/?format=csv")[1] == "0"


def test_a_view_may_be_given_longer(settings):
    view = time_limit.statements_may_take(60)(lambda request: None)
    assert view.statement_seconds == 60


def test_a_change_is_not_limited(settings, client, rf):
    settings.PAGE_STATEMENT_SECONDS = 0.2
    limits = []

    def view(request):
        limits.append(limit_now())
        return HttpResponse()

    def get_response(request):
        middleware.process_view(request, view, (), {})
        return view(request)

    middleware = time_limit.PageTimeMiddleware(get_response)
    for method, expected in (("post", "0"), ("put", "0"), ("get", "200ms"), ("head", "200ms")):
        middleware(getattr(rf, method)("/"))
        assert limits.pop() == expected, method
    assert limit_now() == "0"


def test_only_the_limit_is_called_too_long():
    limit = StatementLimit(0.1)
    with connection.execute_wrapper(limit):
        with pytest.raises(OperationalError) as ended:
            execute(SLOW)
        with transaction.atomic(), pytest.raises(Exception, match="division") as wrong:
            execute("SELECT 1 / 0")
    limit.lift()
    assert was_too_long(ended.value)
    assert not was_too_long(wrong.value)


def test_it_is_no_query_of_the_page(page, django_assert_num_queries):
    page("SELECT 1")
    limit = StatementLimit(5)
    with django_assert_num_queries(1), connection.execute_wrapper(limit):
        execute("SELECT 1")
    limit.lift()
