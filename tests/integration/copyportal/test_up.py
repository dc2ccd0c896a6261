"""`make up` with real processes: PostgreSQL, Valkey, worker, beat and web, from nothing to nothing.

The copying backend is left out (BACKEND_URL is set): it has tests of its own, and `up` starts only what is unset.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from copyportal.services.servers import free_port

ROOT = Path(__file__).resolve().parents[3]
SET_BY_TESTS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_KEYS", "DJANGO_SETTINGS_MODULE", "CACHE_PREFIX")


class Up:
    """A supervisor in a folder of its own."""

    def __init__(self, var: Path, **choices: str) -> None:
        self.var, self.port = var, free_port()
        own = {"VAR": str(var), "PORT": str(self.port), "BACKEND_URL": "http://127.0.0.1:9", "DEMO": "0"}
        kept = {name: value for name, value in os.environ.items() if name not in SET_BY_TESTS}
        self.environment = {**kept, **own, **choices}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "copyportal.services", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_printed(self, pattern: str) -> str:
        """Read on until a line matches."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError("".join(lines))

    def children(self) -> dict[str, int]:
        """Process ids of the direct children, by the name of what they run."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        words = {"postgres -D": "postgres", "valkey-server": "valkey", " worker ": "worker", " beat ": "beat"}
        words |= {"granian": "web", "redis-server": "valkey"}
        found = {}
        for line in listed.stdout.splitlines():
            found |= {name: int(line.split()[0]) for word, name in words.items() if word in line}
        return found

    def get(self, path: str) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/readyz")[1]["status"] == "ok"
        return False


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def processes_of(var: Path) -> list[str]:
    """Whatever runs with this folder in its environment or on its command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            if str(var).encode() in text and "Z" not in (folder / "stat").read_text().rpartition(")")[2].split()[0]:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_up_from_nothing_to_nothing(tmp_path):
    var = tmp_path / "var"
    up = Up(var, LOG_FORMAT="json")
    try:
        up.wait_until_printed(r"Open http://localhost:\d+/")
        up.wait_until_printed("the first page makes the owner")
        assert up.get("/healthz") == (200, {"status": "ok"})
        status, answer = up.get("/readyz")
        assert (status, answer["status"]) == (200, "ok")
        assert set(answer["parts"]) == {"database", "redis", "worker", "beat", "backend"}
        before = up.children()
        assert set(before) == {"postgres", "valkey", "worker", "beat", "web"}

        second = Up(var)
        assert "already runs here" in second.process.communicate(timeout=20)[0]
        assert second.process.returncode == 1

        for name in ("web", "worker", "postgres"):
            os.kill(before[name], signal.SIGKILL)
        until(lambda: set(up.children()) == set(before) and up.children()["web"] != before["web"])
        until(up.is_ready)
        assert all(up.children()[name] != before[name] for name in ("web", "worker", "postgres"))

        up.process.kill()
        up.process.wait()
        until(lambda: processes_of(var) == [])

        up = Up(var, LOG_FORMAT="json")
        up.wait_until_printed(r"Open http://localhost:\d+/")
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(30) == 0
        assert processes_of(var) == []
        for name in ("web", "worker", "beat"):
            lines = (var / "logs" / f"{name}.log").read_text().splitlines()
            plain = [line for line in lines if not line.startswith("{")]
            assert set(plain) <= {"", "worker: Warm shutdown (MainProcess)"}, "Celery prints this past all logging"
            assert all(json.loads(line)["timestamp"] for line in lines if line not in plain)
        assert not (var / "environment").exists()
    finally:
        up.process.kill()
        up.process.wait()


def refusal(up: Up) -> str:
    """The one sentence of a supervisor that does not start."""
    output, _ = up.process.communicate(timeout=30)
    assert up.process.returncode == 1
    assert "Traceback" not in output
    sentences = [line for line in output.splitlines() if line.startswith("copyportal: ")]
    assert len(sentences) == 1, output
    return sentences[0]


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in refusal(Up(tmp_path / "var", PORT=str(port)))


def test_data_of_another_major_version_is_left_alone(tmp_path):
    data = tmp_path / "var/postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    sentence = refusal(Up(tmp_path / "var"))
    assert re.search(r"holds data of PostgreSQL 12, but PostgreSQL \d\d would run here", sentence)
    assert [entry.name for entry in data.iterdir()] == ["PG_VERSION"]


def test_a_missing_database_server_is_named(tmp_path):
    sentence = refusal(Up(tmp_path / "var", POSTGRES_BIN=str(tmp_path)))
    assert f"PostgreSQL in {tmp_path} does not run on this machine" in sentence


def test_a_database_that_cannot_be_reached_is_named(tmp_path):
    sentence = refusal(Up(tmp_path / "var", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none"))
    assert "The database could not be prepared: " in sentence
    assert "Connection refused" in sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    assert "cannot be written" in refusal(Up(tmp_path / "var"))


def test_throw_away_servers_serve_a_command(tmp_path):
    script = (
        "import os, psycopg, redis; print(psycopg.connect(os.environ['DATABASE_URL']).info.server_version >= 140000,"
    )
    script += "redis.Redis.from_url(os.environ['REDIS_URL']).ping())"
    command = [sys.executable, "-m", "copyportal.services", "run", "--", sys.executable, "-c", script]
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_TESTS}
    ran = subprocess.run(
        command, cwd=ROOT, env={**environment, "TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "True True" in ran.stdout
    assert list(tmp_path.iterdir()) == []
