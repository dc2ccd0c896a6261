"""Children are started so that they cannot outlive us, come back with back-off and stop in reverse order."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from copyportal.services import CannotStart
from copyportal.services import process as processes
from copyportal.services.crew import Crew, Stopped
from copyportal.services.process import Child

ROOT = Path(__file__).resolve().parents[3]


def child(tmp_path, name="child", script="import time; time.sleep(60)", **more) -> Child:
    command = [sys.executable, "-S", "-c", script]
    ready = more.pop("ready", lambda child: True)
    return Child(name, command, tmp_path / f"{name}.log", dict(os.environ), ready, **more)


@pytest.fixture
def crew(tmp_path):
    crew = Crew(tmp_path)
    yield crew
    crew.stop()


def until(condition, seconds=15.0):
    """Wait for something another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        os.sched_yield()


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_dies_comes_back_later_and_later(crew, tmp_path, capsys):
    crew.launch(child(tmp_path))
    first = crew.children[0].process.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: not crew.children[0].is_running)
    crew.tend(now := time.monotonic())
    assert "ended (killed by SIGKILL), starts again in 0.5 s" in capsys.readouterr().out
    crew.tend(now + 0.1)
    assert not crew.children[0].is_running
    crew.tend(now + 1)
    assert crew.children[0].is_running
    assert crew.children[0].process.pid != first
    assert [crew.children[0].plan_restart() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_important_lines_are_repeated_and_others_are_not(crew, tmp_path, capsys):
    script = "print('all is well'); print('2026 ERROR something broke', flush=True); import time; time.sleep(60)"
    crew.launch(child(tmp_path, script=script))
    until(lambda: len(crew.children[0].last_lines()) == 2)
    crew.tend(time.monotonic())
    shown = capsys.readouterr().out
    assert "something broke" in shown
    assert "all is well" not in shown


def test_a_line_that_is_still_being_written_is_repeated_once_it_is_whole(crew, tmp_path, capsys):
    crew.launch(child(tmp_path))
    log = tmp_path / "child.log"
    for piece in ("2026 ERR", "OR something", " broke\n2026 INFO"):
        assert capsys.readouterr().out == ""
        with log.open("a") as output:
            output.write(piece)
        crew.tend(time.monotonic())
    assert "2026 ERROR something broke" in capsys.readouterr().out
    crew.tend(time.monotonic())
    assert capsys.readouterr().out == ""


def test_what_cannot_start_is_told_with_the_end_of_its_log(crew, tmp_path):
    crew.launch(child(tmp_path, script="raise SystemExit('the moon is full')", ready=lambda child: False))
    with pytest.raises(CannotStart, match=r"(?s)child ended while starting \(exit code 1\).*the moon is full"):
        crew.wait_for("child")


def test_they_stop_in_reverse_order(tmp_path):
    crew = Crew(tmp_path)
    script = "import signal, sys, time; signal.signal(15, lambda *_: (print(time.time()), sys.exit()));"
    script += "open(sys.argv[1], 'w'); time.sleep(60)"
    for name in ("first", "second", "third"):
        one = child(tmp_path, name, script, ready=lambda child: (tmp_path / f"{child.name}.ready").exists())
        one.command.append(str(tmp_path / f"{name}.ready"))
        crew.launch(one)
    crew.wait_for("first", "second", "third")
    crew.stop()
    stopped = [float((tmp_path / f"{name}.log").read_text()) for name in ("first", "second", "third")]
    assert stopped == sorted(stopped, reverse=True)


def test_a_deaf_child_is_ended_with_its_own_children(tmp_path):
    crew = Crew(tmp_path)
    script = "import signal, subprocess, time; signal.signal(15, signal.SIG_IGN);"
    script += "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    crew.launch(child(tmp_path, script=script, stop_seconds=0.2))
    until(lambda: crew.children[0].last_lines())
    grandchild = int(crew.children[0].last_lines()[0])
    crew.stop()
    until(lambda: not exists(grandchild))


def test_a_wish_to_stop_ends_the_wait_for_readiness(crew, tmp_path):
    crew.launch(child(tmp_path, ready=lambda child: False))
    crew.stopping = True
    with pytest.raises(Stopped):
        crew.wait_for("child")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's death signal is Linux'")
@pytest.mark.parametrize("with_setpriv", [True, False])
def test_nothing_outlives_a_killed_supervisor(tmp_path, with_setpriv):
    script = f"""
        import os, shutil, sys, time
        from pathlib import Path
        from copyportal.services.process import Child
        if not {with_setpriv}:
            shutil.which = lambda name: None
        one = Child("one", ["sleep", "60"], Path({str(tmp_path / "one.log")!r}), dict(os.environ), lambda child: True)
        one.start()
        print(one.process.pid, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    supervisor = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    started = int(supervisor.stdout.readline())
    until(lambda: b"sleep" in Path(f"/proc/{started}/cmdline").read_bytes().split(b"\0")[0])
    supervisor.kill()
    supervisor.wait()
    until(lambda: not exists(started))


def test_logs_are_put_aside_and_do_not_grow_without_end(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 100)
    monkeypatch.setattr(processes, "LOGS_STAY", 2)
    crew.launch(child(tmp_path))
    log = tmp_path / "child.log"
    for letter in "abc":
        with log.open("a") as output:
            output.write(letter * 200 + "\n")
        crew.tend(time.monotonic())
        assert log.stat().st_size == 0
        assert (tmp_path / "child.log.1").read_text() == letter * 200 + "\n"
    assert (tmp_path / "child.log.2").read_text() == "b" * 200 + "\n"
    assert not (tmp_path / "child.log.3").exists()
    with log.open("a") as output:
        output.write("2026 ERROR after it\n")
    assert crew.children[0].important_lines() == ["2026 ERROR after it"]


def test_a_disk_that_is_full_does_not_keep_a_log_from_being_cut(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 100)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(processes.shutil, "copyfile", refuse)
    crew.launch(child(tmp_path))
    (tmp_path / "child.log").write_text("x" * 200 + "\n")
    crew.tend(time.monotonic())
    assert (tmp_path / "child.log").stat().st_size == 0
    assert not (tmp_path / "child.log.1").exists()


def test_what_exists_but_gives_no_sign_of_life_is_started_again(crew, tmp_path, capsys):
    answers = [True]
    stopped = child(tmp_path, is_alive=lambda _: answers[0])
    crew.launch(stopped)
    first, began_at = stopped.process.pid, stopped.started_at
    for seconds in (5, 60, 65):
        crew.tend(began_at + seconds)
    answers[0] = False
    stopped.process.send_signal(signal.SIGSTOP)
    for seconds in (70, 75, 99):
        crew.tend(began_at + seconds)
    assert stopped.is_running, "it may be busy for a while"
    crew.tend(began_at + 104)
    assert "gives no sign of life" in capsys.readouterr().out
    until(lambda: not exists(first) or not stopped.is_running)
    crew.tend(began_at + 105)
    crew.tend(stopped.start_again_at)
    assert stopped.is_running
    assert stopped.process.pid != first


def test_one_that_answers_again_is_left_alone(crew, tmp_path):
    answers = [True]
    busy = child(tmp_path, is_alive=lambda _: answers[0])
    crew.launch(busy)
    first, began_at = busy.process.pid, busy.started_at
    for seconds in range(60, 300, 5):
        answers[0] = seconds % 25 == 0
        crew.tend(began_at + seconds)
    assert busy.is_running
    assert busy.process.pid == first
