"""A backend that takes connections and never answers: a page waits once, shows the rest, and names the connection."""

from __future__ import annotations

import socket
import time

import pytest

from tests import builders

pytestmark = pytest.mark.django_db


@pytest.fixture
def silent(workspace, settings):
    """A strategy whose backend hangs; without the page's limit one call alone would wait for 8 s."""
    settings.PAGE_BACKEND_SECONDS = 1.0
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(20)
        port = listening.getsockname()[1]
        connection = builders.connection(workspace, name="Main backend", base_url=f"http://127.0.0.1:{port}")
        yield builders.strategy(connection)


@pytest.mark.parametrize("tab", ["signals", "edit"])
def test_a_page_waits_once_and_names_the_connection(silent, sign_in, alice, tab):
    assert sign_in(alice).get("/strategies/").status_code == 200  # the first page of a process loads all code
    began_at = time.monotonic()
    answer = sign_in(alice).get(f"/strategies/{silent.pk}/{tab}/")
    assert time.monotonic() - began_at < 8
    assert answer.status_code in (200, 302, 503)
    text = (
        sign_in(alice).get(answer["Location"]).content.decode()
        if answer.status_code == 302
        else answer.content.decode()
    )
    assert "127.0.0.1" not in text
    if tab == "signals":
        assert "“Main backend”" in text
        assert "cannot be shown now" in text
        assert "Nothing was changed" not in text


def test_a_signal_that_got_no_answer_is_not_waited_for_twice(silent, sign_in, alice):
    assert sign_in(alice).get("/strategies/").status_code == 200
    form = {"type": "POSITION_TYPE_BUY", "symbol": "EURUSD", "volume": "1", "confirmed": "yes"}
    began_at = time.monotonic()
    answer = sign_in(alice).post(f"/strategies/{silent.pk}/signals/send/", form)
    assert time.monotonic() - began_at < 8
    assert answer.status_code in (422, 503)
    assert "127.0.0.1" not in answer.content.decode().replace("testserver", "")
