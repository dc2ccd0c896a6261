"""One thing, one name: a class name exists once in the product, so that a search for it ends at its definition."""

import ast
from collections import defaultdict
from pathlib import Path

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
# name -> why two classes have it; this list only gets shorter
TWICE = {
    "BillingPeriod": "the row of a period, and how long periods are",
    "Account": "a client's account, and a strategy's side of the ledger",
    "DecisionRecord": "the contract's record, and the row of the embedded backend that keeps it",
    "LogRecord": "the contract's record, and its row",
    "Span": "of a page, and of a crystallisation",
    "Step": "of a decision in numbers, and of an explanation in words",
    "Stopout": "the contract's record, and its row",
    "Strategy": "the contract's document, and its row",
    "Subscriber": "the contract's document, and its row",
    "Subscription": "the contract's document, its row, and what is billed of it",
    "Transaction": "the contract's record, and its row",
}

# participles say that something happened to a value, not what it is
PARTICIPLES = {"found", "told", "kept", "given", "each"}
# where every local name is a noun; this list only gets longer
NOUNS_ONLY = (
    *(f"copying/backend/{room}" for room in ("broker", "demo", "market", "risk", "settings", "signals", "simulation")),
    "copying/contract",
    "copying/engine",
    "accounts",
    "editing",
    "strategies",
    "subscribers",
)


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
    repeated = {name: files for name, files in classes().items() if len(files) > 1 and name not in TWICE}
    assert repeated == {}


def test_names_that_exist_twice_become_fewer():
    files_of = classes()
    assert [name for name in TWICE if len(files_of[name]) < 2] == []


def local_names(source: str) -> list[tuple[int, str]]:
    """(line, name) of what is assigned and of arguments."""
    return [
        (node.lineno, node.arg if isinstance(node, ast.arg) else node.id)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]


def test_local_names_are_nouns():
    wrong = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for folder in NOUNS_ONLY
        for file in sorted((ROOT / folder).rglob("*.py"))
        for line, name in local_names(file.read_text())
        if name in PARTICIPLES
    ]
    assert wrong == []
