"""Changes one small thing of the code at a time and says which changes no test notices.

    make mutants                                            300 of copying/engine, by its unit tests
    make mutants CODE=copying/backend SEED=7 TESTS="tests/unit/copying tests/integration/copying"
    make mutants CODE=copying/engine/rounding.py SAMPLE=10 ONLY=3,7

By hand, as it takes an hour. The mutants are drawn by a seed, so a sample can be repeated; they are tried in the order
drawn, so that a run that was cut short (MINUTES=30, Ctrl-C) is a smaller sample. KEEP=file keeps the outcomes, and a
later run of the same code goes on where that one stopped. `mutant_runs.py` says how they are tried, docs/testing.md
what was found. A copy of the repository is changed, never the checkout itself; numba compiles nothing, because the
compiled rules are kept under the digest of their files.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.commands.init import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started as a file, this folder would be the root

from tools.mutant_runs import Mutant, MutantOutcome, MutantRun  # noqa: E402

LEFT_OUT = (
    # a rule without its decorator is the same rule where nothing is compiled
    "core/RemoveDecorator",
    # None, small numbers and members of enumerations are equal exactly where they are the same
    "core/ReplaceComparisonOperator_Is_Eq",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_IsNot_NotEq",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
)
SETTINGS = ("NUMBA_DISABLE_JIT=1", "SECRET_KEY=mutants")
NEED_SERVICES = "tests/integration"
# tries the cache of compiled code, in processes of its own: long, and of no rule
NOT_RUN = ("tests/unit/copying/engine/test_compiled.py",)


def main(arguments: list[str]) -> int:
    """0 when the tests could be run; how many mutants survive is for a reader to judge."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="copyportal-mutants-") as folder:
        copy = Path(folder) / "copy"
        copy_repository(copy)
        mutants, of_all = drawn(copy, Path(folder), options)
        print(f"{len(mutants)} of {of_all} mutants of {options.code}, seed {options.seed}", flush=True)
        outcomes = Path(options.keep).absolute() if options.keep else Path(folder) / "outcomes"
        try:
            run_tests(copy, Path(folder), options, mutants, outcomes)
        except KeyboardInterrupt:
            print("Cut short.")
        finally:
            report(copy, mutants, outcomes)
    return 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/mutants.py", description=__doc__.splitlines()[0])
    parser.add_argument("code", nargs="?", default="copying/engine", help="a package or a file")
    parser.add_argument("--tests", default="", help="default: the unit tests of the package")
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="numbers of the sample, such as 3,7")
    parser.add_argument("--minutes", type=float, default=600, help="begin no other mutant after so many")
    parser.add_argument("--budget", type=float, default=60, help="seconds that the tests of one mutant may take in all")
    parser.add_argument("--slow", type=float, default=5, help="leave out tests that take so many seconds")
    parser.add_argument("--keep", default="", help="a file of outcomes: numbers that are in it are not tried again")
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
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def drawn(copy: Path, folder: Path, options: argparse.Namespace) -> tuple[list[Mutant], int]:
    """A sample in the order in which it was drawn, and how many mutants there are."""
    with use_db(folder / "session.sqlite", WorkDB.Mode.create) as database:
        init(find_modules([copy / options.code]), database, {})
        mutations = [mutation for item in database.work_items for mutation in item.mutations]
    mutations = [mutation for mutation in mutations if is_worth_it(mutation)]
    mutations.sort(key=place_of)  # a session has no order of its own
    sample = random.Random(options.seed).sample(mutations, min(options.sample, len(mutations)))
    numbers = {int(number) for number in options.only.split(",") if number}
    mutants = (
        mutant_of(number, mutation, copy)
        for number, mutation in enumerate(sample, 1)
        if not numbers or number in numbers
    )
    return [mutant for mutant in mutants if compiles(mutant.source)], len(mutations)


def compiles(source: str) -> bool:
    """Whether a changed file is Python at all: `{**a, "b": 1}` with another operator is not, and any test notices."""
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def mutant_of(number: int, mutation: MutationSpec, copy: Path) -> Mutant:
    operator = cosmic_ray.plugins.get_operator(mutation.operator_name)(**mutation.operator_args)
    source = mutate_code(Path(mutation.module_path).read_text(), operator, mutation.occurrence)
    path = str(Path(mutation.module_path).relative_to(copy))
    return Mutant(number, path, mutation.start_pos[0], mutation.operator_name, source)


def place_of(mutation: MutationSpec) -> tuple:
    arguments = json.dumps(mutation.operator_args, sort_keys=True, default=str)
    return str(mutation.module_path), mutation.start_pos, mutation.operator_name, arguments, mutation.occurrence


def is_worth_it(mutation: MutationSpec) -> bool:
    """Whether a change can be noticed: what only a type checker or a reader of the log sees cannot."""
    if mutation.operator_name in LEFT_OUT:
        return False
    return not any(
        start <= tuple(mutation.start_pos) and tuple(mutation.end_pos) <= end
        for start, end in unseen_spans(Path(mutation.module_path))
    )


_UNSEEN: dict[Path, list[tuple[tuple[int, int], tuple[int, int]]]] = {}


def unseen_spans(file: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(start, end) of every annotation and log line as (line, column)."""
    if file not in _UNSEEN:
        nodes = ast.walk(ast.parse(file.read_text()))
        spans = [node for parent in nodes for node in unseen_in(parent)]
        _UNSEEN[file] = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in spans]
    return _UNSEEN[file]


def unseen_in(node: ast.AST) -> Iterator[ast.expr]:
    for name in ("annotation", "returns"):
        if isinstance(annotation := getattr(node, name, None), ast.expr):
            yield annotation
    if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("log.", "logger.")):
        yield node


def run_tests(copy: Path, folder: Path, options: argparse.Namespace, mutants: list[Mutant], outcomes: Path) -> None:
    listed = folder / "mutants.json"
    listed.write_text(json.dumps([asdict(mutant) for mutant in mutants]))
    until = time.time() + 60 * options.minutes
    orders = json.dumps(
        asdict(MutantRun(str(listed), str(outcomes), options.code, options.budget, options.slow, until))
    )
    options_of_pytest = ["-s", "-pno:randomly", "-pno:cacheprovider", "--hypothesis-seed=0", "--reuse-db"]
    left_out = [f"--ignore={path}" for path in NOT_RUN]
    pytest = ["pytest", "-ptools.mutant_runs", f"--mutants={orders}", *options_of_pytest, *left_out]
    services = ["copyportal.services", "run", "--", sys.executable, "-m"] if NEED_SERVICES in options.tests else []
    command = ["env", *SETTINGS, sys.executable, "-m", *services, *pytest, *options.tests.split()]
    subprocess.run(command, cwd=copy, check=False)


def report(copy: Path, mutants: list[Mutant], file: Path) -> None:
    """The share killed, and every survivor as a difference."""
    lines = file.read_text().splitlines() if file.exists() else []
    outcomes = {outcome.number: outcome for outcome in (MutantOutcome(**json.loads(line)) for line in lines)}
    for mutant in mutants:
        outcome = outcomes.get(mutant.number)
        if outcome and outcome.outcome in ("survived", "uncovered"):
            print(f"{mutant.number} {mutant.change} {outcome.outcome} by {outcome.tests} tests: {mutant.path}")
            print(difference(copy, mutant), end="\n\n")
    counts = Counter(outcome.outcome for outcome in outcomes.values())
    killed = counts["killed"] + counts["timeout"]
    share = 100 * killed / max(len(outcomes), 1)
    print(f"{killed} of {len(outcomes)} killed ({share:.1f} %), {counts['timeout']} of them by time; {dict(counts)}")


def difference(copy: Path, mutant: Mutant) -> str:
    before = (copy / mutant.path).read_text().splitlines()
    lines = difflib.unified_diff(before, mutant.source.splitlines(), n=1, lineterm="")
    return "\n".join([*lines][2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
