"""The folder of all run-time data (`VAR`): its lock, generated secrets, and the environment the processes share."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from copyportal.services import CannotStart

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_KEYS", "BACKEND_URL", "BACKEND_TOKEN", "STATIC_ROOT")


@dataclass(frozen=True)
class Installation:
    """What the person chose by environment variables, with defaults."""

    var: Path
    port: int = 8000
    backend_port: int = 8001
    bind: str = "127.0.0.1"
    demo: bool = True
    tls_port: int = 0  # where the backend serves HTTPS to clients that build host names; 0: nowhere

    @classmethod
    def from_environment(cls) -> Installation:
        """Read PORT, BACKEND_PORT, TLS, TLS_PORT, BIND, VAR and DEMO. Raises CannotStart for a port that is no port."""
        ports = {}
        for name, default in (("PORT", "8000"), ("BACKEND_PORT", "8001"), ("TLS_PORT", "8443")):
            text = os.environ.get(name) or default
            if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
                raise CannotStart(f"{name}={text} is not a port: give a number from 1 to 65535.")
            ports[name] = int(text)
        has_tls = (os.environ.get("TLS") or "0").lower() in ("1", "true", "yes", "on")
        used = [name for name in ports if has_tls or name != "TLS_PORT"]
        for first, second in itertools.combinations(used, 2):
            if ports[first] == ports[second]:
                raise CannotStart(f"{first} and {second} are both {ports[first]}: give them different numbers.")
        return cls(
            var=(ROOT / (os.environ.get("VAR") or "var")).resolve(),
            port=ports["PORT"],
            backend_port=ports["BACKEND_PORT"],
            bind=os.environ.get("BIND") or "127.0.0.1",
            demo=(os.environ.get("DEMO") or "1").lower() not in ("0", "false", "no", "off"),
            tls_port=ports["TLS_PORT"] if has_tls else 0,
        )

    def make_folders(self) -> None:
        """Create the data folder, readable by its owner only. Raises CannotStart where that is not allowed."""
        try:
            self.var.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (self.var / "lock").exists() or not any(self.var.iterdir()):  # ours, never a folder like /tmp
                self.var.chmod(0o700)
            (self.var / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotStart(
                f"{self.var} cannot be written: {error.strerror}. Choose another folder: VAR=..."
            ) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the data folder. Raises CannotStart when another supervisor has it; the kernel frees it with us."""
        with (self.var / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise CannotStart(f"It already runs here: {lock.read().strip() or self.var}.") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()}, http://localhost:{self.port}/")
            lock.flush()
            yield

    def secret(self, name: str) -> str:
        """A secret from the environment, else from the folder, else a new one that is kept there (0600)."""
        if configured := os.environ.get(name):
            return configured
        file = self.var / "secrets" / name
        if not file.exists():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            value = secrets.token_urlsafe(50) if name == "SECRET_KEY" else _fernet_key()
            unfinished = file.with_suffix(".new")
            unfinished.touch(0o600)
            unfinished.write_text(value)
            unfinished.rename(file)
        return file.read_text().strip()

    @contextlib.contextmanager
    def published(self, environment: dict[str, str]) -> Iterator[None]:
        """Leave the addresses for `manage.py` commands that a person types meanwhile (settings.py reads the file)."""
        file = self.var / "environment"
        file.unlink(missing_ok=True)
        file.touch(0o600)
        file.write_text("".join(f"{name}={environment[name]}\n" for name in SHARED if environment.get(name)))
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def require_free_port(host: str, port: int, name: str) -> None:
    """Raise CannotStart when somebody listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} cannot be used ({str(error.strerror).lower()}): "
                f"choose another one, for example {name}={port + 100} make up."
            ) from error


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
