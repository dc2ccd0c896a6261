"""Changes one small thing of the code at a time and says which changes no unit test notices.

    make mutants                                            300 of copying/engine, by its unit tests
    make mutants CODE=copying/backend SAMPLE=300 SEED=7
    make mutants CODE=copying/engine/rounding.py TESTS=tests/unit/copying/engine/test_oracle.py SAMPLE=10

By hand, as it takes hours: every mutant runs the tests once. The mutants are drawn by a seed, so a sample can be
repeated. A copy of the repository is changed, never the checkout itself; numba compiles nothing, because the compiled
rules are kept under the digest of their files.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

ROOT = Path(__file__).resolve().parent.parent
# a rule without its decorator is the same rule where nothing is compiled
LEFT_OUT = ("core/RemoveDecorator",)
ENVIRONMENT = {
    "NUMBA_DISABLE_JIT": "1",
    # two mutants of one second and one size would otherwise share a compiled file
    "PYTHONDONTWRITEBYTECODE": "1",
    "SECRET_KEY": "mutants",
}


def main(arguments: list[str]) -> int:
    """0 when the tests could be run; how many mutants survive is for a reader to judge."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="copyportal-mutants-") as folder:
        copy = Path(folder) / "copy"
        copy_repository(copy)
        session = Path(folder) / "session.sqlite"
        config = Path(folder) / "config.toml"
        config.write_text(config_of(options))
        run = ["cosmic-ray", "--verbosity", "ERROR"]
        call(copy, *run, "init", str(config), str(session))
        drawn, of_all = draw(copy, session, options.sample, options.seed)
        print(f"{drawn} of {of_all} mutants of {options.code}, seed {options.seed}, by {options.tests}", flush=True)
        if call(copy, *run, "baseline", str(config), check=False):
            print("The tests fail without any change: mend them first.", file=sys.stderr)
            return 1
        try:
            call(copy, *run, "exec", str(config), str(session))
        finally:
            report(session)  # after Ctrl-C of what was tried
    return 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/mutants.py", description=__doc__.splitlines()[0])
    parser.add_argument("code", nargs="?", default="copying/engine", help="a package or a file")
    parser.add_argument("--tests", default="", help="default: the unit tests of the package")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600, help="seconds that a run of the tests may take")
    options = parser.parse_args(arguments)
    if not (ROOT / options.code).exists():
        parser.error(f"{options.code} does not exist")
    package = options.code if (ROOT / options.code).is_dir() else str(Path(options.code).parent)
    while not (ROOT / "tests/unit" / package).is_dir():  # the tests of a room are those of the package that it is in
        package = str(Path(package).parent)
    options.tests = options.tests or f"tests/unit/{package}"
    for path in options.tests.split():
        if not (ROOT / path.partition("::")[0]).exists():
            parser.error(f"{path} does not exist: name the tests with TESTS=")
    return options


def copy_repository(target: Path) -> None:
    """What git knows, and files that it would take in."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def config_of(options: argparse.Namespace) -> str:
    command = f"{sys.executable} -m pytest -x -p no:randomly -p no:cacheprovider --hypothesis-seed=0 {options.tests}"
    lines = [
        "[cosmic-ray]",
        f"module-path = {json.dumps(options.code)}",
        f"timeout = {options.timeout}",
        f"test-command = {json.dumps(command)}",
        "excluded-modules = []",
        "[cosmic-ray.distributor]",
        'name = "local"',
    ]
    return "\n".join(lines)


def call(copy: Path, *command: str, check: bool = True) -> int:
    """Run a program of the virtual environment in the copy; its exit code."""
    program = Path(sys.executable).parent / command[0]
    settings = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    return subprocess.run(["env", *settings, program, *command[1:]], cwd=copy, check=check).returncode


def draw(copy: Path, session: Path, sample: int, seed: int) -> tuple[int, int]:
    """Keep a sample of the mutants of a session: how many, of how many."""
    with use_db(session, WorkDB.Mode.open) as database:
        items = [item for item in database.work_items if all(is_worth_it(copy, each) for each in item.mutations)]
        items.sort(key=lambda item: [place_of(each) for each in item.mutations])  # a session has no order of its own
        drawn = random.Random(seed).sample(items, min(sample, len(items)))
        database.clear()
        database.add_work_items(drawn)
    return len(drawn), len(items)


def place_of(mutation: MutationSpec) -> tuple:
    arguments = json.dumps(mutation.operator_args, sort_keys=True, default=str)
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, arguments, mutation.occurrence


def is_worth_it(copy: Path, mutation: MutationSpec) -> bool:
    """Whether a change can be noticed: none of an annotation can, nothing looks at them at run time."""
    if mutation.operator_name in LEFT_OUT:
        return False
    return not any(
        start <= tuple(mutation.start_pos) and tuple(mutation.end_pos) <= end
        for start, end in annotations_of(copy / mutation.module_path)
    )


_ANNOTATIONS: dict[Path, list[tuple[tuple[int, int], tuple[int, int]]]] = {}


def annotations_of(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(start, end) of every annotation as (line, column)."""
    if file not in _ANNOTATIONS:
        nodes = ast.walk(ast.parse(file.read_text()))
        spans = [node for parent in nodes for node in annotations_in(parent)]
        _ANNOTATIONS[file] = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in spans]
    return _ANNOTATIONS[file]


def annotations_in(node: ast.AST) -> Iterator[ast.expr]:
    for name in ("annotation", "returns"):
        if isinstance(annotation := getattr(node, name, None), ast.expr):
            yield annotation


def report(session: Path) -> None:
    """The share killed, and every survivor as a difference."""
    with use_db(session, WorkDB.Mode.open) as database:
        results = [result for _, result in database.results]
    survivors = [result for result in results if result.test_outcome == TestOutcome.SURVIVED]
    for survivor in survivors:
        print(survivor.diff, end="\n\n")
    killed = len(results) - len(survivors)
    print(f"{killed} of {len(results)} killed ({100 * killed / max(len(results), 1):.0f} %), {len(survivors)} survived")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
