"""The children of one installation: launched in order, waited for, tended, stopped in reverse.

One thread, one loop: signals set a flag, children write their own logs, and the kernel ends the children if this
process is killed (process.py). It holds no state that a restart would miss.
"""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from copyportal.services import CannotStart
from copyportal.services.installation import ROOT
from copyportal.services.process import Child, die_with_parent

START_SECONDS = 60.0


class Stopped(BaseException):
    """The person or the system asked for the end."""


@dataclass(frozen=True)
class RunningStep:
    """A command that runs to its end; progress on its output, reasons of a failure in the last line of its log."""

    name: str
    process: subprocess.Popen
    log: Path


class Crew:
    """Children in the order of their start, and steps that run to their end between them."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.children: list[Child] = []
        self.steps: list[RunningStep] = []
        self.stopping = False

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP as the wish to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, _number: int, _frame: object) -> None:
        if self.stopping:
            raise Stopped
        self.stopping = True
        for step in self.steps:
            step.process.terminate()

    def launch(self, child: Child) -> None:
        """Start a child; it is not waited for."""
        self._check()
        child.start()
        self.children.append(child)

    def wait_for(self, *names: str) -> None:
        """Wait until the named children are ready; what dies early gets two more chances, with back-off.

        Raises CannotStart with the end of its log when it does not come up, Stopped when asked to stop.
        """
        waiting = {child.name: child for child in self.children if child.name in names}
        chances = dict.fromkeys(waiting, 2)
        end = time.monotonic() + START_SECONDS
        while waiting:
            self._check()
            for name, child in list(waiting.items()):
                if self._is_up(child, chances):
                    del waiting[name]
                    child.read_until = child.log.stat().st_size
                    say(name, f"ready after {time.monotonic() - child.started_at:.1f} s")
                elif time.monotonic() > end:
                    raise CannotStart(_failure(child, f"was not ready after {START_SECONDS:.0f} s"))
            time.sleep(0.02)

    def _is_up(self, child: Child, chances: dict[str, int]) -> bool:
        if child.start_again_at is not None:
            if time.monotonic() >= child.start_again_at:
                child.start()
            return False
        if child.is_running:
            return child.ready(child)
        if not chances[child.name]:
            raise CannotStart(_failure(child, f"ended while starting ({child.ending})"))
        chances[child.name] -= 1
        child.plan_restart()
        return False

    def watch(self) -> None:
        """Tend the children until asked to stop."""
        while not self.stopping:
            self.tend(time.monotonic())
            time.sleep(0.2)

    def tend(self, now: float) -> None:
        """One round: repeat important lines, notice the dead, start again those whose wait is over."""
        for child in self.children:
            for line in child.important_lines():
                say(child.name, line)
            if child.start_again_at is not None:
                if now >= child.start_again_at:
                    child.start()
            elif child.is_running and child.has_fallen_silent(now):
                say(child.name, "exists but gives no sign of life: it is ended and started again")
                child.kill()
            elif not child.is_running:
                say(child.name, f"ended ({child.ending}), starts again in {child.plan_restart():g} s")

    def begin(self, name: str, command: list[str], environment: dict[str, str]) -> RunningStep:
        """Begin a step that runs to its end beside others; `finish` must follow."""
        self._check()
        log = self.logs / f"{name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*die_with_parent("KILL"), *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.steps.append(step := RunningStep(name, process, log))
        return step

    def finish(self, step: RunningStep, complaint: str) -> str:
        """Wait for a step, repeating its progress lines; return its output. Raises CannotStart, Stopped."""
        lines: list[str] = []
        for line in step.process.stdout or ():
            lines.append(line)
            if not line.startswith("{"):
                say(step.name, line.rstrip())
        code = step.process.wait()
        self.steps.remove(step)
        self._check()
        if code:
            lines = step.log.read_text().strip().splitlines()
            refusals = [line.strip() for line in lines if "(copyportal.E" in line]  # of a system check, before its sum
            why = refusals or lines[-1:] or [f"exit code {code}"]
            raise CannotStart(f"{complaint}: {why[0]} (all of it: {step.log})")
        return "".join(lines)

    def stop(self) -> None:
        """Stop every child, the last started first. A second Ctrl-C shortens the waits."""
        for step in self.steps:
            step.process.kill()
        while self.children:
            child = self.children[-1]
            try:
                child.stop()
            except Stopped:
                for other in self.children:
                    other.stop_seconds = min(other.stop_seconds, 2 if other.name == "postgres" else 0)
                child.stop()
            self.children.pop()

    def _check(self) -> None:
        if self.stopping:
            raise Stopped


def _failure(child: Child, what: str) -> str:
    lines = "".join(f"\n  {line}" for line in child.last_lines())
    return f"{child.name} {what}; the end of {child.log}:{lines}"


def say(name: str, text: str) -> None:
    """One line on the console, prefixed with who says it."""
    print(f"{name:>9}  {text}" if name else text, flush=True)
