"""A package imports only from packages to its left; the engine and the services know nothing of Django."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LAYERS = ("copying", "users", "jobs", "editing", "strategies", "subscribers", "reporting", "copyportal")


def imported_modules(file: Path) -> set[str]:
    """Every module a file imports, wherever in the file; relative imports made absolute."""
    package = file.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            found.add(".".join(filter(None, (start, node.module))))
    return found


def files(package: str) -> list[Path]:
    return [file for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts]


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer):
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files(layer)
        for module in sorted(imported_modules(file))
        if module.split(".")[0] in above
    ]
    assert wrong == []


def forbidden(package: str, names: set[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files(package)
        for module in sorted(imported_modules(file))
        if module.split(".")[0] in names
    ]


def test_the_engine_is_pure():
    assert forbidden("copying/engine", {"django", "httpx", "redis", "psycopg", "socket", "time", "random", "os"}) == []
    clocks = re.compile(r"\b(datetime|date)\.(now|utcnow|today)\(")
    assert [str(file) for file in files("copying/engine") if clocks.search(file.read_text())] == []


def test_the_contract_knows_no_django():
    assert forbidden("copying/contract", {"django", "redis", "psycopg"}) == []


def test_the_services_run_before_django():
    assert forbidden("copyportal/services", {"django", "celery"}) == []


def test_the_client_is_the_portals_only_way_to_the_backend():
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for layer in LAYERS[1:]
        for file in files(layer)
        for module in sorted(imported_modules(file))
        if module.startswith(("copying.backend", "copying.models"))
    ]
    allowed = {"copyportal/management"}  # the demo and the supervisor's `prepare` set the embedded backend up
    assert [line for line in wrong if not line.startswith(tuple(allowed))] == []


def test_only_the_engine_compiles():
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for layer in LAYERS
        for file in files(layer)
        for module in sorted(imported_modules(file))
        if module.split(".")[0] in ("numba", "llvmlite")
    ]
    assert wrong == ["copying/engine/compiled.py imports numba"]


def test_web_and_worker_do_not_load_the_compiler():
    words = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import copyportal.wsgi, copyportal.celery, copyportal.urls
copyportal.celery.app.loader.import_default_modules()
print("numba" in sys.modules)
"""
    asked = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True)
    assert asked.stdout.strip() == "False", asked.stderr
