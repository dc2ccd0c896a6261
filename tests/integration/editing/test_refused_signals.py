"""A change or a close of an open signal that is refused: the sentence, and what was typed, in its own form only."""

from __future__ import annotations

import html
import re

import pytest
from django.utils import timezone

from copying.client import Client, Unreachable

pytestmark = pytest.mark.django_db
OPEN_SIGNALS = ("sig00001", "sig00002")


@pytest.fixture
def path(desk):
    with desk.client() as client:
        for signal_id in OPEN_SIGNALS:
            document = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "time": timezone.now(), "volume": 0.1}
            client.put_external_signal(desk.alpine.backend_id, signal_id, document)
    return f"/strategies/{desk.alpine.pk}/signals/{OPEN_SIGNALS[0]}/"


def forms_of(answer) -> dict[str, tuple[bool, dict[str, str]]]:
    """By signal: whether its form stands open, and the values of its inputs."""
    text = answer.content.decode()
    forms = {}
    for is_open, menu in re.findall(r'<details class="menu signal-menu"( open)?>(.*?)</details>', text, re.S):
        inputs = [re.sub(r"\s+", " ", tag) for tag in re.findall(r"<input[^>]*form-control[^>]*>", menu)]
        values = {
            re.search(r'name="(\w+)"', tag)[1]: html.unescape(re.search(r'value="([^"]*)"', tag)[1]) for tag in inputs
        }
        forms[re.search(r"/signals/(\w+)/change/", menu)[1]] = (bool(is_open), values)
    return forms


@pytest.mark.parametrize(
    ("act", "typed", "status", "words"),
    [
        ("change", {"stopLoss": "1.05x", "takeProfit": '9"9'}, 422, "Nothing was changed."),
        ("change", {"stopLoss": "1,050", "takeProfit": ""}, 422, "Nothing was changed."),
        ("change", {"stopLoss": "900", "takeProfit": "950.5"}, 503, "The backend refuses it"),
        ("close", {"volume": "many"}, 422, "Nothing was closed."),
        ("close", {"volume": "0.5"}, 503, "Nothing was closed: 0.1 lots"),
    ],
)
def test_what_was_typed_stays_in_the_form(act, typed, status, words, desk, person, alice, path):
    manager = person(alice)
    answer = manager.http.post(f"{path}{act}/", typed)
    assert (answer.status_code, words in html.unescape(answer.content.decode())) == (status, True)
    forms = forms_of(answer)
    is_open, values = forms[OPEN_SIGNALS[0]]
    assert is_open
    assert values == {"stopLoss": "", "takeProfit": "", "volume": ""} | typed
    assert forms[OPEN_SIGNALS[1]] == (False, {"stopLoss": "", "takeProfit": "", "volume": ""})


def test_the_corrected_form_is_done_with_the_same_token(desk, person, alice, path):
    manager = person(alice)
    assert manager.http.post(f"{path}change/", {"stopLoss": "x", "once": "token-3"}).status_code == 422
    assert manager.http.post(f"{path}change/", {"stopLoss": "0.5", "once": "token-3"}).status_code == 302
    forms = forms_of(manager.http.get(f"/strategies/{desk.alpine.pk}/signals/"))
    assert forms[OPEN_SIGNALS[0]] == (False, {"stopLoss": "0.5", "takeProfit": "", "volume": ""})


def test_a_close_that_may_be_done_is_not_done_again_by_the_same_form(desk, person, alice, path, monkeypatch):
    calls = []

    def lost(self, *arguments, **options):
        calls.append(arguments)
        raise Unreachable("Cannot reach the backend: no answer within 8 s.", was_sent=True)

    monkeypatch.setattr(Client, "put_external_signal", lost)
    manager = person(alice)
    for _ in range(2):
        answer = manager.http.post(f"{path}close/", {"volume": "0.05", "once": "token-4"}, follow=True)
        assert "whether it was carried out is not known" in " ".join(answer.content.decode().split())
    assert len(calls) == 1
