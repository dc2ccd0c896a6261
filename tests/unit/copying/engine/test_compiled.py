"""Rules as machine code: the same answers as Python's own, and a cache that is never stale, in the way or missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from copying.engine import compiled
from copying.engine.decide import decide
from copying.engine.model import Accounts
from tests.unit.copying.engine.books import make_book

ROOT = Path(__file__).resolve().parents[4]
COLUMNS = ("outcome", "reason", "level", "steps", "limit_value", "stop_loss", "take_profit", "delay_s", "notes")
RULES = """
from small.compiled import rule

@rule
def wanted(lots):
    return lots * 2
"""
LOOP = """
import numpy as np
from small.compiled import array_of, compiled
from small.rules import wanted

@compiled(array_of(float))
def size(lots):
    for row in range(len(lots)):
        lots[row] = wanted(lots[row])

asked = np.array([1.0, 2.0])
size(asked)
print(asked.tolist())
"""


def run(*words: str, **more: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")} | more
    return subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)


def digest_of_decisions() -> str:
    """The bits of everything decided in some books."""
    found = hashlib.sha256()
    for seed in range(25):
        book = make_book(seed)
        decisions = decide(book.table, book.signal, book.facts)
        for name in COLUMNS:
            found.update(getattr(decisions, name).tobytes())
    return found.hexdigest()


def test_columns_of_other_types_and_with_gaps_are_read_as_what_they_say() -> None:
    """Machine code reads an array as the type that it was compiled for, whatever is in it."""
    book = make_book(3)
    of = book.facts.accounts
    columns = {name: np.round(getattr(of, name)) for name in ("balance", "equity", "margin", "leverage")}
    values = {"ids": of.ids, "currencies": of.currencies, "position_value": of.position_value}
    book.facts.accounts = Accounts(currency=of.currency, **columns, **values)
    expected = decide(book.table, book.signal, book.facts)
    gaps = {name: np.repeat(column.astype(np.int64), 2)[::2] for name, column in columns.items()}
    book.facts.accounts = Accounts(currency=of.currency.astype(np.int64), **gaps, **values)
    decisions = decide(book.table, book.signal, book.facts)
    for name in COLUMNS:
        assert getattr(decisions, name).tobytes() == getattr(expected, name).tobytes(), name


def test_without_compiling_the_answers_are_the_same_to_the_bit() -> None:
    words = f"from {__name__.rpartition('.')[0]} import test_compiled; print(test_compiled.digest_of_decisions())"
    plain = run("-W", "error", "-c", words, NUMBA_DISABLE_JIT="1")
    assert plain.stdout.strip() == digest_of_decisions(), plain.stderr


def test_without_compiling_the_engine_agrees_with_the_loop() -> None:
    test = "tests/unit/copying/engine/test_oracle.py::test_all_routes_at_once_decide_as_one_after_another"
    plain = run("-m", "pytest", test, "-p", "no:cacheprovider", "-p", "no:randomly", NUMBA_DISABLE_JIT="1")
    assert plain.returncode == 0, plain.stdout


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package with one rule and one loop, compiled as the engine is."""
    package = tmp_path / "small"
    package.mkdir()
    shutil.copy(compiled.__file__, package / "compiled.py")
    (package / "__init__.py").touch()
    (package / "rules.py").write_text(RULES)
    (package / "loop.py").write_text(LOOP)
    return package


def answer(small: Path, **more: str) -> str:
    """What a new process says."""
    done = run("-m", "small.loop", PYTHONPATH=str(small.parent), **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def kept(folder: Path) -> list[str]:
    """Compiled code, by the names of its files."""
    return sorted(file.name for file in folder.rglob("*.nbc"))


def test_a_second_process_loads_what_the_first_compiled(small: Path) -> None:
    assert answer(small) == "[2.0, 4.0]"
    before = kept(small)
    assert len(before) == 1
    assert answer(small, NUMBA_DEBUG_CACHE="1").count("data loaded") == 1
    assert kept(small) == before


def test_a_rule_changed_in_another_file_is_compiled_anew(small: Path) -> None:
    assert answer(small) == "[2.0, 4.0]"
    (small / "rules.py").write_text(RULES.replace("* 2", "* 3"))
    assert answer(small) == "[3.0, 6.0]"


def test_a_folder_that_cannot_be_written_only_costs_time(small: Path) -> None:
    nowhere = small / "file"
    nowhere.touch()
    (small / "__pycache__").touch()
    places = {"NUMBA_CACHE_DIR": str(nowhere), "XDG_CACHE_HOME": str(nowhere), "HOME": str(nowhere)}
    assert answer(small, **places) == "[2.0, 4.0]"
    assert kept(small) == []


def test_a_cut_off_file_of_the_cache_only_costs_time(small: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert answer(small, NUMBA_CACHE_DIR=str(cache)) == "[2.0, 4.0]"
    for file in [*cache.rglob("*.nbc"), *cache.rglob("*.nbi")]:
        file.write_bytes(file.read_bytes()[:10])
    assert answer(small, NUMBA_CACHE_DIR=str(cache)) == "[2.0, 4.0]"


def test_two_processes_may_compile_at_once(small: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environment = dict(os.environ, PYTHONPATH=str(small.parent), NUMBA_CACHE_DIR=str(cache))
    both = [
        subprocess.Popen([sys.executable, "-m", "small.loop"], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in both] == ["[2.0, 4.0]"] * 2
    assert answer(small, NUMBA_CACHE_DIR=str(cache)) == "[2.0, 4.0]"
    assert len(kept(cache)) == 1
