"""One child process: how it is started so that it cannot outlive us, watched, restarted with back-off and stopped.

Children write straight into their log file, so that a busy supervisor never blocks them; the supervisor reads along and
repeats the lines a person should see. Each child leads its own process group: Ctrl-C reaches only the supervisor, and
what a killed child leaves behind can be swept.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
STABLE_AFTER_SECONDS = 60.0
ASK_SECONDS = 5.0  # between two looks whether a process that exists still works
SILENT_SECONDS = 30.0  # without a sign of life; the longest that one may be busy is much shorter
LOG_LIMIT_BYTES = 20_000_000
LOGS_STAY = 5  # files of that size beside the one that is written
IMPORTANT = re.compile(
    r"\b(WARNING|ERROR|CRITICAL|FATAL|PANIC)\b|\[(warning|error|critical) *\]|\"level\": ?\"(warning|error)"
)


def die_with_parent(signal_name: str) -> list[str]:
    """The words to put before a command so that it receives the signal when the supervisor is gone."""
    if sys.platform.startswith("linux") and shutil.which("setpriv"):
        return ["setpriv", "--pdeathsig", signal_name]
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")), signal_name]


@dataclass
class Child:
    """A process of the portal. `ready` asks the outside world, never the child's own opinion of itself."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    ready: Callable[[Child], bool]
    prefix: list[str] = field(default_factory=list)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    death_signal: str = "KILL"
    options: dict = field(default_factory=dict)
    is_alive: Callable[[Child], bool] | None = None  # asked while it runs; None: that it exists is enough
    scratch: Path | None = None  # a folder that is of no use when it has been stopped
    process: subprocess.Popen | None = None
    started_at: float = 0.0
    wait_seconds: float = FIRST_WAIT_SECONDS
    start_again_at: float | None = None
    read_until: int = 0
    asked_at: float = 0.0
    silent_since: float | None = None

    def start(self) -> None:
        """Start it. Call from the main thread only: the kernel ties the death signal to the starting thread."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.start_again_at = self.silent_since = None
        self.started_at = self.asked_at = time.monotonic()
        with self.log.open("ab") as output:
            self.read_until = output.tell()
            self.process = subprocess.Popen(
                [*self.prefix, *die_with_parent(self.death_signal), *self.command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.options,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process exists; reaps it when it has just ended."""
        return self.process is not None and self.process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode if self.process else None
        return f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"

    def plan_restart(self) -> float:
        """After an unexpected end: sweep what is left of its group, decide when to try again, return the wait."""
        self._signal_group(signal.SIGKILL)
        if time.monotonic() - self.started_at > STABLE_AFTER_SECONDS:
            self.wait_seconds = FIRST_WAIT_SECONDS
        wait = self.wait_seconds
        self.wait_seconds = min(wait * 2, LONGEST_WAIT_SECONDS)
        self.start_again_at = time.monotonic() + wait
        return wait

    def has_fallen_silent(self, now: float) -> bool:
        """Whether it exists, but has given no sign of life for too long: stopped, hung, or waiting for ever."""
        if self.is_alive is None or now - self.asked_at < ASK_SECONDS:
            return False
        self.asked_at = now
        if self.is_alive(self):
            self.silent_since = None
            return False
        began_at = self.silent_since = self.silent_since or now
        return now - began_at >= SILENT_SECONDS and now - self.started_at >= STABLE_AFTER_SECONDS / 2 + SILENT_SECONDS

    def kill(self) -> None:
        """End it and what belongs to it, at once."""
        self._signal_group(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, wait, then insist."""
        if self.process is None:
            return
        if self.is_running:
            self.process.send_signal(self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.stop_seconds)
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def important_lines(self) -> list[str]:
        """Lines written since the last call that a person should see; keeps the file from growing without end."""
        with self.log.open("rb+") as log:
            log.seek(self.read_until)
            text = log.read(1_000_000)
            if len(text) < 1_000_000:  # the last line may still be written: it waits for its end
                text = text[: text.rfind(b"\n") + 1]
            self.read_until += len(text)
            if self.read_until > LOG_LIMIT_BYTES:
                self._rotate(log)
        return [line for line in text.decode(errors="replace").splitlines() if IMPORTANT.search(line)]

    def _rotate(self, log: BinaryIO) -> None:
        """Put what is written aside, the oldest away.

        The child appends to the same file: only what it writes between the copy and the cut is lost, a line or two.
        """
        for number in range(LOGS_STAY - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self.log}.{number}", f"{self.log}.{number + 1}")
        try:
            shutil.copyfile(self.log, f"{self.log}.1")
        except OSError:  # a full disk: room is worth more than the past
            Path(f"{self.log}.1").unlink(missing_ok=True)
        log.truncate(0)
        self.read_until = 0

    def last_lines(self, count: int = 8) -> list[str]:
        """The end of the log, for a message about a failed start."""
        return self.log.read_text(errors="replace").splitlines()[-count:] if self.log.exists() else []

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def wait_until_ready(child: Child, *, timeout: float, now: Callable[[], float] = time.monotonic) -> bool:
    """Poll until the child is ready; False when it ended or took too long."""
    end = now() + timeout
    while now() < end:
        if child.ready(child):
            return True
        if not child.is_running:
            return False
        time.sleep(0.02)
    return False
