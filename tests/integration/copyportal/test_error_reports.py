"""What an error tracker is told: what names a fault and where it is, and nothing that people sent or own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import brotli
import pytest
from django.conf import settings

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture
def tracker():
    """A tracker on loopback: its address, and what it was sent."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.headers["content-encoding"] == "br"
            sent.append(brotli.decompress(body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://key@127.0.0.1:{server.server_port}/1", sent
    server.shutdown()


def run(dsn: str) -> None:
    environment = {
        **os.environ,
        "SENTRY_DSN": dsn,
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "DJANGO_SETTINGS_MODULE": "copyportal.settings",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(HERE / "failing_pages.py")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_faults_of_pages_tasks_and_logs_are_told_without_what_people_sent_or_own(tracker):
    dsn, sent = tracker
    run(dsn)
    assert b"sync failed" in b"".join(sent)
    assert b"SECRET" not in b"".join(sent)
    assert b"dora" not in b"".join(sent)
    events = [json.loads(line) for envelope in sent for line in envelope.splitlines() if b'"event_id"' in line]
    events = [event for event in events if "level" in event]
    told = {event["exception"]["values"][-1]["type"]: event for event in events}
    assert sorted(told) == ["IntegrityError", "RuntimeError", "ValueError"]
    page = told["ValueError"]
    assert page["transaction"] == "/invitation/{token}/"
    assert page["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fails"
    assert told["IntegrityError"]["exception"]["values"][-1]["value"] == "a row is there already"
    assert told["RuntimeError"]["logentry"]["message"] == "sync failed connection=7"


def test_without_an_address_nothing_is_loaded():
    script = "import django; django.setup(); import sys; raise SystemExit('sentry_sdk' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "SENTRY_DSN"}
    environment |= {"SECRET_KEY": settings.SECRET_KEY, "FIELD_KEYS": ",".join(settings.FIELD_KEYS)}
    environment["DJANGO_SETTINGS_MODULE"] = "copyportal.settings"
    assert subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT).returncode == 0
