"""One thing, one name: a class name exists once in the product, so that a search for it ends at its definition."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "copying",
    "users",
    "jobs",
    "editing",
    "accounts",
    "strategies",
    "subscribers",
    "reporting",
    "api",
    "copyportal",
)
# names that Django looks for
OF_DJANGO = {"Meta", "Migration", "Command"}
# participles and pronouns say that something happened to a value, not what it is
NO_NOUNS = {"found", "told", "kept", "given", "made", "held", "one", "each", "back", "judge", "lay_over", "put_back"}


def classes() -> dict[str, list[str]]:
    """The files of the product that define a class of each name."""
    files_of = defaultdict(list)
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in file.parts:
                for node in ast.walk(ast.parse(file.read_text())):
                    if isinstance(node, ast.ClassDef) and node.name not in OF_DJANGO:
                        files_of[node.name].append(str(file.relative_to(ROOT)))
    return files_of


def test_a_class_name_exists_once():
    assert {name: files for name, files in classes().items() if len(files) > 1} == {}


def names(source: str) -> list[tuple[int, str]]:
    """(line, name) of what is assigned, of arguments and of functions."""
    named = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg):
            named.append((node.lineno, node.arg))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            named.append((node.lineno, node.id))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named.append((node.lineno, node.name))
    return named


def test_names_are_nouns():
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for folder in (*PACKAGES, "tools")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in file.parts
        for line, name in names(file.read_text())
        if name in NO_NOUNS
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("found = 1", ["found"]),
        ("for each in rows: pass", ["each"]),
        ("[one for one in rows]", ["one"]),
        ("sorted(rows, key=lambda each: each.name)", ["each"]),
        ("def judge(given): pass", ["judge", "given"]),
        ("async def read(*told, **kept): pass", ["told", "kept"]),
        ("if (held := read()): pass", ["held"]),
        ("rows = read(found=made)", []),
        ("row.told", []),
    ],
)
def test_the_rule_of_names_sees_what_it_is_for(source, seen):
    assert sorted(name for _, name in names(source) if name in NO_NOUNS) == sorted(seen)
