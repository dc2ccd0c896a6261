"""The tests of many mutants in one process: a plugin of pytest that collects once and forks for every mutant.

What it must not do: change a file of the checkout. It runs in the copy that `mutants.py` makes; `--mutants` has its
`Orders` as JSON: which file names the mutants (a list of `Mutant`) and where outcomes go (a line each).

First a child runs every test once and writes down which functions of the product each enters: a test that never enters
a function cannot notice a change of it. Then for every mutant a child puts the changed code in the place of the old and
runs those tests, the quickest first, until one fails. What is already used while modules are imported (tables,
constants, classes) cannot be replaced afterwards: such a mutant has a process of its own on a changed file.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

# what fails is not made smaller: that takes longer than to find it
settings.register_profile("mutants", deadline=None, database=None, phases=(Phase.explicit, Phase.generate))

Place = tuple[str, int]
"""The file of a function, and the line on which it starts (of its first decorator)."""


@dataclass(frozen=True)
class Mutant:
    number: int  # in the order drawn, from 1
    path: str  # of the changed file, below the repository
    line: int
    change: str  # the operator of cosmic-ray
    source: str  # the whole changed file


@dataclass(frozen=True)
class Outcome:
    number: int
    outcome: str  # killed, timeout, survived, uncovered
    tests: int  # how many were chosen
    seconds: float
    killer: str = ""


@dataclass(frozen=True)
class Orders:
    """What `mutants.py` asks for."""

    mutants: str  # file of the mutants
    outcomes: str  # file that outcomes are added to
    budget: float  # seconds that the chosen tests of one mutant may take in all, as measured unchanged
    until: float  # epoch seconds after which no other mutant is begun


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", help="orders as JSON")
    parser.addoption("--mutant-tests", help="file of the only tests to run, in this order")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("mutants")
    if orders := config.getoption("--mutants"):
        config.pluginmanager.register(Runs(config.rootpath, Orders(**json.loads(orders))), "mutant-runs")
    elif names := config.getoption("--mutant-tests"):
        config.pluginmanager.register(Chosen(json.loads(Path(names).read_text())))


class Chosen:
    """Runs only these tests, in this order: what a process of one mutant does."""

    def __init__(self, names: list[str]) -> None:
        self.rank = {name: rank for rank, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.rank), key=lambda i: self.rank[i.nodeid])


class Calls:
    """Which code is entered, in every thread."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        self.codes.add(frame.f_code)

    def start(self) -> None:
        threading.settrace(self)
        sys.settrace(self)

    def stop(self) -> None:
        threading.settrace(None)  # type: ignore[arg-type]
        sys.settrace(None)

    @contextmanager
    def collected(self) -> Iterator[set[CodeType]]:
        """What is entered meanwhile, apart from what was before."""
        before, self.codes = self.codes, set()
        try:
            yield self.codes
        finally:
            before |= self.codes
            self.codes = before


class Runs:
    def __init__(self, root: Path, orders: Orders) -> None:
        self.root = root
        self.orders = orders
        self.calls = Calls()
        self.at_import: set[Place] = set()
        self.of_fixtures: dict[str, set[Place]] = defaultdict(set)
        self.functions: dict[Place, list[FunctionType]] = defaultdict(list)
        self.covered: dict[str, tuple[float, set[Place]]] = {}

    def places(self, codes: set[CodeType]) -> set[Place]:
        start = f"{self.root}/"
        return {(c.co_filename, c.co_firstlineno) for c in codes if c.co_filename.startswith(start)}

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        self.calls.start()
        result = yield
        self.calls.stop()
        self.at_import = self.places(self.calls.codes)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef) -> Iterator[None]:
        """A fixture of a module is made within its first test, but concerns all that use it."""
        with self.calls.collected() as codes:
            result = yield
        if fixturedef.scope != "function":
            self.of_fixtures[fixturedef.argname] |= self.places(codes)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        covered = Path(f"{self.orders.outcomes}.covered")
        self.in_child(lambda: self.cover(session.items, covered), None)
        for name, (seconds, entered) in json.loads(covered.read_text()).items():
            self.covered[name] = seconds, {(file, line) for file, line in entered}
        print(f"{len(self.covered)} of {len(session.items)} tests pass unchanged", flush=True)
        items = {item.nodeid: item for item in session.items}
        for function in (thing for thing in gc.get_objects() if isinstance(thing, FunctionType)):
            self.functions[function.__code__.co_filename, function.__code__.co_firstlineno].append(function)
        for mutant in json.loads(Path(self.orders.mutants).read_text()):
            if time.time() > self.orders.until:
                break
            outcome = self.try_mutant(Mutant(**mutant), items)
            with Path(self.orders.outcomes).open("a") as file:
                print(json.dumps(asdict(outcome)), file=file)
        return True

    def cover(self, items: list[pytest.Item], target: Path) -> int:
        """Run every test once and write down {name: (seconds, [(file, line), ...])} of those that pass."""
        covered = {}
        self.calls.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            begun = time.perf_counter()
            with self.calls.collected() as codes:
                reports = runtestprotocol(item, nextitem=following, log=False)
            if any(report.failed for report in reports):
                print(f"fails unchanged, left out: {item.nodeid}", flush=True)
                continue
            covered[item.nodeid] = time.perf_counter() - begun, self.places(codes), item.fixturenames
        self.calls.stop()
        entered = {
            name: (seconds, sorted(places.union(*(self.of_fixtures.get(fixture, ()) for fixture in fixtures))))
            for name, (seconds, places, fixtures) in covered.items()
        }
        target.write_text(json.dumps(entered))
        return 0

    def try_mutant(self, mutant: Mutant, items: dict[str, pytest.Item]) -> Outcome:
        begun = time.perf_counter()
        file = self.root / mutant.path
        place = outer_function(file, mutant.line)
        in_place = place is not None and place not in self.at_import and place in self.functions
        names = self.chosen(file, place)
        limit = 30 + 5 * sum(self.covered[name][0] for name in names)
        killer = Path(f"{self.orders.outcomes}.killer")
        killer.unlink(missing_ok=True)
        if not names:
            result = "uncovered"
        elif in_place and place is not None:
            functions = self.functions[place]
            chosen = [items[name] for name in names]
            result = self.in_child(lambda: self.run_changed(mutant, functions, chosen, killer), limit)
        else:
            result = self.in_process(mutant, names, limit)
        test = killer.read_text() if killer.exists() else ""
        return Outcome(mutant.number, result, len(names), round(time.perf_counter() - begun, 1), test)

    def chosen(self, file: Path, place: Place | None) -> list[str]:
        """The tests that enter the changed function, the quickest first, as many as the budget allows.

        What no function holds may be used by any test: then those come first that enter a function of the file.
        """
        ranked = []
        for name, (seconds, entered) in self.covered.items():
            if place in entered:
                ranked.append((0, seconds, name))
            elif place is None or place in self.at_import:
                ranked.append((0 if any(path == str(file) for path, _ in entered) else 1, seconds, name))
        names, total = [], 0.0
        for _, seconds, name in sorted(ranked):
            total += seconds
            if total > self.orders.budget and names:
                break
            names.append(name)
        return names

    def in_child(self, work: Callable[[], int], limit: float | None) -> str:
        """Do something in a fork of this process, within so many seconds."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                code = work()
            finally:
                sys.stdout.flush()
                os._exit(code)
        begun = time.monotonic()
        while True:
            finished, status = os.waitpid(child, os.WNOHANG)
            if finished:
                return "killed" if os.waitstatus_to_exitcode(status) else "survived"
            if limit is not None and time.monotonic() - begun > limit:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return "timeout"
            time.sleep(0.01)

    def run_changed(self, mutant: Mutant, functions: list[FunctionType], items: list[pytest.Item], killer: Path) -> int:
        """1 as soon as a test fails on the changed code, else 0."""
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        for function in functions:
            replace_code(function, mutant.source)
        for item, following in zip(items, [*items[1:], None], strict=True):
            if any(report.failed for report in runtestprotocol(item, nextitem=following, log=False)):
                killer.write_text(item.nodeid)
                return 1
        return 0

    def in_process(self, mutant: Mutant, names: list[str], limit: float) -> str:
        """The same by a process that imports everything anew, from the changed file."""
        file = self.root / mutant.path
        source = file.read_text()
        listed = Path(f"{self.orders.outcomes}.tests")
        listed.write_text(json.dumps(names))
        tests = sorted({name.partition("::")[0] for name in names})
        options = [word for word in sys.argv[1:] if word.startswith("-") and not word.startswith("--mutants=")]
        python = [sys.executable, "-B", "-m", "pytest", "-x", "-ptools.mutant_runs", f"--mutant-tests={listed}"]
        try:
            file.write_text(mutant.source)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                compiled.unlink()  # of the same second and size as the changed file, it would be taken for its own
            return "killed" if quiet([*python, *options, *tests], self.root, limit) else "survived"
        except subprocess.TimeoutExpired:
            return "timeout"
        finally:
            file.write_text(source)


def quiet(command: list[str], folder: Path, limit: float) -> int:
    """The exit code of a command in a folder, whose whole group is ended after so many seconds."""
    silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, start_new_session=True, **silence) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def outer_function(file: Path, line: int) -> Place | None:
    """The outermost function whose body has a line; nothing where the line is no function's."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.body[0].lineno <= line <= (node.end_lineno or 0):
                    return str(file), min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            else:
                waiting.append(node)
    return None


def replace_code(function: FunctionType, source: str) -> None:
    """Give a function the code that it has in a changed source of its file."""
    old = function.__code__
    waiting = [compile(source, old.co_filename, "exec", dont_inherit=True)]
    while waiting:
        code = waiting.pop()
        if (code.co_name, code.co_firstlineno) == (old.co_name, old.co_firstlineno):
            function.__code__ = code
            return
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    raise LookupError(f"{old.co_qualname} is not in the changed source")
