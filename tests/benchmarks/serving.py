"""A granian process on one core, a signed-in session, and a client that keeps its connection."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from copyportal.services.portal import GRANIAN

ROOT = Path(__file__).resolve().parents[2]


def session_cookie() -> str:
    """The cookie of Alice, signed in."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from users.models import User
    from users.session_store import SessionStore

    alice = User.objects.get(email="alice@example.com")
    session = SessionStore()
    session[SESSION_KEY] = str(alice.pk)
    session[BACKEND_SESSION_KEY] = "users.adapter.EmailBackend"
    session[HASH_SESSION_KEY] = alice.get_session_auth_hash()
    session.save()
    return f"sessionid={session.session_key}"


class Web:
    """`with Web("module:application") as web`: granian with one worker, pinned to the first core."""

    def __init__(self, application: str):
        self.application = application

    def __enter__(self) -> Web:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        interface = ["--interface", "asgi", *GRANIAN] if ".asgi:" in self.application else ["--interface", "wsgi"]
        command = [sys.executable, "-m", "granian", *interface, "--workers", "1", "--port", str(self.port)]
        static = {"DEBUG": "0", "STATIC_ROOT": str(Path(tempfile.gettempdir()) / "copyportal-benchmark-static")}
        environment = {**os.environ, **static, "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT)}
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
        subprocess.run(collect, cwd=ROOT, env=environment, check=True)
        cores = sorted(os.sched_getaffinity(0))
        self.process = subprocess.Popen(
            ["taskset", "-c", str(cores[0]), *command, "--log-level", "error", self.application],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.sched_setaffinity(0, {cores[-1]})
        self._wait()
        self.client = http.client.HTTPConnection("127.0.0.1", self.port)
        return self

    def __exit__(self, *exception) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(10)

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("The web process did not start.")

    def open(self, path: str, cookie: str) -> http.client.HTTPResponse:
        self.client.request("GET", path, headers={"Cookie": cookie})
        return self.client.getresponse()

    def memory_mb(self) -> float:
        """Peak resident memory of the worker."""
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        peaks = [Path(f"/proc/{pid}/status").read_text() for pid in children or [str(self.process.pid)]]
        lines = [line for text in peaks for line in text.splitlines() if line.startswith("VmHWM")]
        return max(int(line.split()[1]) for line in lines) / 1024
