"""One thing, one name: a class name exists once in the product, so that a search for it ends at its definition."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("copying", "users", "jobs", "editing", "strategies", "subscribers", "reporting", "api", "copyportal")
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
