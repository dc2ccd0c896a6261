"""The portal's own processes: their commands, and how to see from outside that each is ready.

The commands are those of docs/operations.md; what differs here is only size (one web process, a thread pool as worker).
"""

from __future__ import annotations

import hashlib
import http.client
import sys
import time
from pathlib import Path

from copyportal.services.installation import ROOT, Installation
from copyportal.services.process import Child

# no websockets or HTTP/2; headers within 64 kB and 15 seconds, which is also how long an idle connection stays; many
# connections, as one that only waits costs little; a killed child is replaced at once
GRANIAN = (
    *("--no-ws", "--http", "1", "--http1-buffer-size", "65536", "--http1-header-read-timeout", "15000"),
    *("--backlog", "4096", "--backpressure", "4096", "--respawn-failed-workers", "--respawn-interval", "0.5"),
)


LATE_SECONDS = 20  # of a sign of life that comes every two to five seconds


class Portal:
    """Commands and children of one installation, given the environment they share."""

    def __init__(self, installation: Installation, environment: dict[str, str]) -> None:
        self.installation = installation
        self.environment = environment

    def command(self, *words: str) -> list[str]:
        """A `manage.py` command."""
        return [sys.executable, str(ROOT / "manage.py"), *words]

    def _child(self, name: str, command: list[str], ready, **more) -> Child:
        log = self.installation.var / "logs" / f"{name}.log"
        return Child(name, command, log, self.environment, ready, options={"cwd": ROOT}, **more)

    def backend(self) -> Child:
        """The embedded copying backend."""
        port = self.installation.backend_port
        return self._child(
            "backend",
            self.command("runbackend", "--port", str(port), *self._tls_words()),
            lambda _: answers("127.0.0.1", port),
            is_alive=lambda _: answers("127.0.0.1", port, least=100),
        )

    def _tls_words(self) -> list[str]:
        port = self.installation.tls_port
        return ["--tls-port", str(port)] if port else []

    def compile_rules(self) -> list[str]:
        """The command that compiles the copying rules: seconds when they are new here, else nothing to do."""
        return [sys.executable, "-m", "copying.engine"]

    def worker(self) -> Child:
        """One worker with a pool of threads: a tenth of the memory of processes, and tasks mostly wait."""
        words = ["worker", "--pool=threads", "--concurrency=8", "--without-gossip", "--without-mingle"]
        return self._child("worker", self._celery(*words), self._has_beaten, is_alive=self._beats)

    def beat(self) -> Child:
        """The one clock of background work."""
        return self._child("beat", self._celery("beat"), self._has_beaten, is_alive=self._beats)

    def web(self) -> Child:
        """The pages."""
        place = self.installation
        words = ["--interface", "asgi", "--host", place.bind, "--port", str(place.port), *GRANIAN]
        words += ["--log-config", str(ROOT / "deploy/web-log.json")]
        words += ["--workers-kill-timeout", "5", "copyportal.asgi:application"]
        command = [sys.executable, "-m", "granian", *words]
        host = "127.0.0.1" if place.bind in ("0.0.0.0", "::") else place.bind
        return self._child(
            "web",
            command,
            lambda _: answers(host, place.port),
            is_alive=lambda _: answers(host, place.port, least=100),
            death_signal="TERM",
        )

    def _celery(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "celery", "--app", "copyportal", "--quiet", *words, "--loglevel", "INFO"]

    def _has_beaten(self, child: Child) -> bool:
        """Whether it has given a sign of life since its start."""
        age = self._age(child)
        return age is not None and age < time.monotonic() - child.started_at

    def _beats(self, child: Child) -> bool:
        """Whether it gave a sign of life lately; nobody can say without Redis, and that is no fault of the child."""
        age = self._age(child)
        return age is None or age < LATE_SECONDS

    def _age(self, child: Child) -> float | None:
        """Seconds since the last sign of life, None where Redis does not answer; for ever, where there was none."""
        import redis

        try:
            with redis.Redis.from_url(self.environment["REDIS_URL"], socket_timeout=2) as client:
                prefix = self.environment.get("CACHE_PREFIX", "copyportal")
                return time.time() - float(client.hget(f"{prefix}:heartbeats", child.name) or 0)
        except redis.exceptions.RedisError:
            return None

    def static_stamp(self) -> str:
        """Changes when any file that is collected may have changed."""
        digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes())
        for file in sorted((ROOT / "static").rglob("*")):
            state = file.stat()
            digest.update(f"{file.relative_to(ROOT)} {state.st_size} {state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    @property
    def _stamp_file(self) -> Path:
        return self.installation.var / "static.stamp"

    def collect_static(self) -> list[str]:
        """The command that collects and compresses the static files of our pages."""
        unused = ["htm*-4.*", "ext", "htmx-2.js"]
        words = [word for pattern in unused for word in ("--ignore", pattern)]
        return self.command("collectstatic", "--noinput", "--verbosity", "0", *words)

    def mark_static_as_current(self) -> None:
        """Remember which files have been collected."""
        self._stamp_file.write_text(self.static_stamp())

    def static_is_current(self) -> bool:
        """Whether the collected files are those of now."""
        return self._stamp_file.exists() and self._stamp_file.read_text() == self.static_stamp()


def answers(host: str, port: int, *, least: int = 200) -> bool:
    """Whether an HTTP server there says it is well; least=100: whatever it says, even that it is not."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return least <= connection.getresponse().status <= (200 if least == 200 else 599)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
