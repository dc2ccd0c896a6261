"""After sending, the page says what became of the signal: green only when every account has its copy."""

from __future__ import annotations

import pytest
from django.utils import timezone

from reporting.models import Decision

pytestmark = pytest.mark.django_db


def send(manager, strategy, symbol):
    body = {"symbol": symbol, "type": "POSITION_TYPE_BUY", "volume": "0.1", "confirmed": "yes"}
    answer = manager.http.post(f"/strategies/{strategy.pk}/signals/send/", body)
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return manager.http.get(answer.headers["Location"]).content.decode()


def test_a_signal_that_failed_everywhere_is_not_green(desk, person, alice):
    page = send(person(alice), desk.alpine, "NOSUCH")
    assert "NOSUCH is sent" in page
    assert "toast-success" not in page
    assert f'hx-get="/strategies/{desk.alpine.pk}/signals/outcomes/' in page


def test_cells_say_copied_failed_with_reason_or_waiting(desk, person, alice, bob, charlie, dora):
    def decide(signal, outcome, reason, number):
        Decision.objects.create(
            workspace=desk.connection.workspace,
            connection=desk.connection,
            backend_id=f"{signal}-{number}",
            time=timezone.now(),
            signal_id=signal,
            strategy_id=desk.alpine.backend_id,
            symbol="X",
            side="buy",
            source_strategy_id=desk.alpine.backend_id,
            subscriber_symbol="X",
            subscriber_id=f"a{number}",
            outcome=outcome,
            reason=reason,
            level="",
            text="t",
        )

    decide("won", "copied", "copied", 1)
    decide("won", "copied", "copied", 2)
    decide("lost", "failed", "unknown-symbol", 1)
    decide("lost", "failed", "unknown-symbol", 2)
    path = f"/strategies/{desk.alpine.pk}/signals/outcomes/?ids=won,lost,none"
    for who in (alice, bob):
        part = person(who).http.get(path, headers={"HX-Request": "true"}).content.decode()
        won, lost, none = part.split("<span id=")[1:]
        assert "state-good" in won
        assert "2 copied" in won
        assert "state-bad" in lost
        assert "2 failed: unknown symbol" in lost
        assert "/decisions/?signal=lost" in lost
        assert "Waiting" in none
    assert "2 failed: unknown symbol" in person(bob).http.get(path).content.decode()
    for who in (charlie, dora):
        assert person(who).http.get(path).status_code == 404
    assert person(alice).http.get(path.replace("won", "x" * 65)).status_code == 400
