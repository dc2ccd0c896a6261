"""The tests of many mutants in one process: a plugin of pytest that collects once and forks for every mutant.

What it must not do: change a file of the checkout. It runs in the copy that `mutants.py` makes; `--mutants` has its
`MutantRun` as JSON: which file names the mutants (a list of `Mutant`) and where outcomes go (a line each).

First a child runs every test once and writes down which functions and lines of the product each runs: a test that never
runs a statement cannot notice a change of it. Then for every mutant a child puts the changed code in the place of the
old and runs those tests, the quickest first, until one fails. What is already used while modules are imported (tables,
constants, classes) cannot be replaced afterwards: such a mutant has a process of its own on a changed file.

A test runs too long when it takes five times its seconds and ten more of the processor, however busy the machine is, or
ten times and two minutes more by the clock, as what waits for itself takes no processor.
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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

# what fails is not made smaller: that takes longer than to find it
settings.register_profile("mutants", deadline=None, database=None, phases=(Phase.explicit, Phase.generate))

Place = tuple[str, int]
"""A file below the repository and a line of it; of a function the line on which it starts (of its first decorator)."""


@dataclass(frozen=True)
class Mutant:
    number: int  # in the order drawn, from 1
    path: str  # of the changed file, below the repository
    line: int
    change: str  # the operator of cosmic-ray
    source: str  # the whole changed file


@dataclass(frozen=True)
class MutantOutcome:
    number: int
    outcome: str  # killed, timeout, survived, uncovered
    tests: int  # how many were chosen
    seconds: float
    killer: str = ""


@dataclass(frozen=True)
class MutantRun:
    """What `mutants.py` asks for."""

    mutants: str  # file of the mutants
    outcomes: str  # file that outcomes are added to
    code: str  # the package or file that is changed
    budget: float  # seconds that the chosen tests of one mutant may take in all, as measured unchanged
    slow: float  # seconds from which a test is left out
    until: float  # epoch seconds after which no other mutant is begun


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", help="orders as JSON")
    parser.addoption("--mutant-tests", help="file of the only tests to run, in this order")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("mutants")
    if orders := config.getoption("--mutants"):
        config.pluginmanager.register(Runs(config.rootpath, MutantRun(**json.loads(orders))), "mutant-runs")
    elif names := config.getoption("--mutant-tests"):
        config.pluginmanager.register(Chosen(json.loads(Path(names).read_text())))


class Chosen:
    """Runs only these tests, in this order: what a process of one mutant does."""

    def __init__(self, names: list[str]) -> None:
        self.rank = {name: rank for rank, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.rank), key=lambda i: self.rank[i.nodeid])


class TooSlow(BaseException):
    """Ends a test that takes far longer than is worth waiting for; no test catches it."""


@dataclass(frozen=True)
class Covered:
    """What a test runs, and how long it takes."""

    seconds: float
    functions: set[Place]
    lines: set[Place]  # of the code that is changed


class Calls:
    """Which functions are entered, and which lines of some files are run, in every thread."""

    def __init__(self, start: str) -> None:
        self.start_of_lines = start  # how the files begin whose lines are of interest
        self.codes: set[CodeType] = set()
        self.lines: set[Place] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> Callable | None:
        code = frame.f_code
        self.codes.add(code)
        return self.line if code.co_filename.startswith(self.start_of_lines) else None

    def line(self, frame: FrameType, event: str, argument: object) -> Callable:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self.line

    def start(self) -> None:
        threading.settrace(self)
        sys.settrace(self)

    def stop(self) -> None:
        threading.settrace(None)  # type: ignore[arg-type]
        sys.settrace(None)

    @contextmanager
    def collected(self) -> Iterator[tuple[set[CodeType], set[Place]]]:
        """What is entered and run meanwhile, apart from what was before."""
        codes, lines = self.codes, self.lines
        self.codes, self.lines = set(), set()
        try:
            yield self.codes, self.lines
        finally:
            codes |= self.codes
            lines |= self.lines
            self.codes, self.lines = codes, lines


class Runs:
    def __init__(self, root: Path, orders: MutantRun) -> None:
        self.root = root
        self.orders = orders
        self.calls = Calls(str(root / orders.code))
        self.at_import: set[Place] = set()
        self.of_fixtures: dict[str, tuple[set[Place], set[Place]]] = defaultdict(lambda: (set(), set()))
        self.functions: dict[Place, list[FunctionType]] = defaultdict(list)
        self.covered: dict[str, Covered] = {}

    def places(self, codes: set[CodeType]) -> set[Place]:
        return self.below_root({(code.co_filename, code.co_firstlineno) for code in codes})

    def below_root(self, places: set[Place]) -> set[Place]:
        start = f"{self.root}/"
        return {(file.removeprefix(start), line) for file, line in places if file.startswith(start)}

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
        with self.calls.collected() as (codes, lines):
            result = yield
        if fixturedef.scope != "function":
            functions_of, lines_of = self.of_fixtures[fixturedef.argname]
            functions_of |= self.places(codes)
            lines_of |= self.below_root(lines)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        outcomes = Path(self.orders.outcomes)
        covered = Path(f"{outcomes}.covered")
        if not covered.exists():
            self.in_child(lambda: self.cover(session.items, covered))
        for name, (seconds, functions, lines) in json.loads(covered.read_text()).items():
            self.covered[name] = Covered(seconds, unpacked(functions), unpacked(lines))
        print(f"{len(self.covered)} of {len(session.items)} tests pass unchanged", flush=True)
        items = {item.nodeid: item for item in session.items}
        for function in [thing for thing in gc.get_objects() if type(thing) is FunctionType]:  # no lazy object wakes
            for place in self.places({function.__code__}):
                self.functions[place].append(function)
        gc.freeze()  # what forks do not collect they share
        done = outcomes.read_text().splitlines() if outcomes.exists() else []
        tried = {json.loads(line)["number"] for line in done}
        for mutant in json.loads(Path(self.orders.mutants).read_text()):
            if time.time() > self.orders.until:
                break
            if mutant["number"] not in tried:
                outcome = self.try_mutant(Mutant(**mutant), items)
                with outcomes.open("a") as file:
                    print(json.dumps(asdict(outcome)), file=file)
        return True

    def cover(self, items: list[pytest.Item], target: Path) -> int:
        """Run every test once and write down what those that pass take and run."""
        covered = {}
        signal.signal(signal.SIGALRM, end_test)
        self.calls.start()
        for item, following in zip(items, [*items[1:], None], strict=True):
            begun = time.process_time()
            signal.setitimer(signal.ITIMER_REAL, 10 * self.orders.slow)
            with self.calls.collected() as (codes, lines):
                reports = runtestprotocol(item, nextitem=following, log=False)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if any(report.failed for report in reports):
                print(f"fails unchanged or is slow, left out: {item.nodeid}", flush=True)
                continue
            seconds = round(time.process_time() - begun, 3)
            covered[item.nodeid] = seconds, self.places(codes), self.below_root(lines), item.fixturenames
        self.calls.stop()
        written = {}
        for name, (seconds, functions, lines, fixtures) in covered.items():
            shared = [self.of_fixtures[fixture] for fixture in fixtures if fixture in self.of_fixtures]
            functions = functions.union(*(of_fixture[0] for of_fixture in shared))
            lines = lines.union(*(of_fixture[1] for of_fixture in shared))
            written[name] = seconds, packed(functions), packed(lines)
        target.write_text(json.dumps(written))
        return 0

    def try_mutant(self, mutant: Mutant, items: dict[str, pytest.Item]) -> MutantOutcome:
        begun = time.perf_counter()
        place = outer_function(self.root, mutant.path, mutant.line)
        in_place = place is not None and place not in self.at_import and place in self.functions
        names = [name for name in self.chosen(mutant, place) if name in items]
        killer = Path(f"{self.orders.outcomes}.killer")
        killer.unlink(missing_ok=True)
        if not names:
            result = "uncovered"
        elif in_place and place is not None:
            functions = self.functions[place]
            chosen = [items[name] for name in names]
            result = self.in_child(lambda: self.run_changed(mutant, functions, chosen, killer))
        else:
            result = self.in_process(mutant, names, 120 + 10 * sum(self.covered[name].seconds for name in names))
        test = killer.read_text() if killer.exists() else ""
        return MutantOutcome(mutant.number, result, len(names), round(time.perf_counter() - begun, 1), test)

    def chosen(self, mutant: Mutant, place: Place | None) -> list[str]:
        """The tests that run the changed statement, the quickest first, as many as the budget allows.

        What no function holds may be used by any test: then those come first that enter a function of the file.
        """
        first, last = statement_at(self.root / mutant.path, mutant.line)
        changed = {(mutant.path, line) for line in range(first, last + 1)}
        ranked = []
        for name, covered in self.covered.items():
            if covered.seconds > self.orders.slow:
                continue
            if place is None or place in self.at_import:
                concerns = any(path == mutant.path for path, _ in covered.functions)
                ranked.append((0 if concerns else 1, covered.seconds, name))
            elif changed & covered.lines:
                ranked.append((0, covered.seconds, name))
        names, total = [], 0.0
        for _, seconds, name in sorted(ranked):
            total += seconds
            if total > self.orders.budget and names:
                break
            names.append(name)
        return names

    def in_child(self, work: Callable[[], int]) -> str:
        """Do something in a fork of this process, which may end itself by one of the clocks of `limited`."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setsid()
                code = work()
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what the test started
        code = os.waitstatus_to_exitcode(status)
        if code in (-signal.SIGPROF, -signal.SIGALRM):
            return "timeout"
        return "killed" if code else "survived"

    def run_changed(self, mutant: Mutant, functions: list[FunctionType], items: list[pytest.Item], killer: Path) -> int:
        """1 as soon as a test fails on the changed code, else 0."""
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        for function in functions:
            replace_code(function, mutant.source)
        for item, following in zip(items, [*items[1:], None], strict=True):
            with limited(self.covered[item.nodeid].seconds):
                reports = runtestprotocol(item, nextitem=following, log=False)
            if any(report.failed for report in reports):
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
            code = quiet([*python, *options, *tests], self.root, limit)
            return "survived" if code in (0, pytest.ExitCode.NO_TESTS_COLLECTED) else "killed"
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


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ends this process by a signal when a test takes far longer than its seconds."""
    signal.setitimer(signal.ITIMER_PROF, 10 + 5 * seconds)
    signal.setitimer(signal.ITIMER_REAL, 120 + 10 * seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


def end_test(number: int, frame: FrameType | None) -> None:
    raise TooSlow


def packed(places: set[Place]) -> dict[str, list[int]]:
    """{file: lines} of places."""
    lines_of = defaultdict(list)
    for file, line in sorted(places):
        lines_of[file].append(line)
    return lines_of


def unpacked(lines_of: dict[str, list[int]]) -> set[Place]:
    return {(file, line) for file, lines in lines_of.items() for line in lines}


def statement_at(file: Path, line: int) -> tuple[int, int]:
    """The first and last line of the innermost statement at a line; of one with a body its head."""
    spans = [(line, line)]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
            if node.lineno <= line <= last:
                spans.append((node.lineno, last))
    return max(spans[1:] or spans)


def outer_function(root: Path, path: str, line: int) -> Place | None:
    """The outermost function whose body has a line; nothing where the line is no function's."""
    waiting: list[ast.AST] = [ast.parse((root / path).read_text())]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if node.body[0].lineno <= line <= (node.end_lineno or 0):
                    return path, min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
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
