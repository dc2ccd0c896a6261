"""A package imports only from packages to its left; the engine and the services know nothing of Django."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parent.parent.parent
# of copying/backend: its folders, and the files beside them
ROOMS = (
    "market",
    "state",
    "risk",
    "settings",
    "broker",
    "signals",
    "simulation",
    "core",
    "tokens",
    "tls",
    "http",
    "telegram",
    "demo",
    "service",
)
LAYERS = (
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


def name_of(file: Path) -> str:
    """The dotted name of a file; of a package its `__init__`."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def imported_files(file: Path) -> set[str]:
    """`name_of` every file of the product that a file imports, for types only or inside a function included."""
    package = file.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {target for alias in node.names if (target := file_of(alias.name.split(".")))}
        elif isinstance(node, ast.ImportFrom):
            start = [*(package[: len(package) - node.level + 1] if node.level else ()), *(node.module or "").split(".")]
            start = [part for part in start if part]
            found |= {target for alias in node.names if (target := file_of([*start, alias.name]) or file_of(start))}
    return found - {name_of(file)}


def file_of(parts: list[str]) -> str:
    """`name_of` the file that a dotted name stands for, nothing when it is not the product's."""
    if parts and parts[0] in LAYERS:
        for name in (".".join(parts), ".".join([*parts, "__init__"])):
            if (ROOT / name.replace(".", "/")).with_suffix(".py").exists():
                return name
    return ""


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


@cache
def address_names(layer: str) -> set[str]:
    """Names of the addresses of a package as code asks for them: with their namespace, where they have one."""
    names = set()
    for file in files(layer):
        tree = ast.parse(file.read_text())
        if not file.stem.endswith("urls"):
            continue
        spaces = [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "app_name"
            and isinstance(node.value, ast.Constant)
        ]
        space = f"{spaces[0]}:" if spaces else ""
        names |= {
            f"{space}{keyword.value.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
        }
    return names


def names_upward(source: str, layer: str) -> list[str]:
    """Texts of a file that name something of a package above: an address, a task, a model, a module.

    Imports do not show these: a lower package would reach an upper one through Django's or Celery's registers.
    """
    above = LAYERS[LAYERS.index(layer) + 1 :]
    addresses = set().union(*(address_names(upper) for upper in above))
    dotted = re.compile(rf"({'|'.join(above)})\.(\w+)(\.\w+)*")
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return [
        text
        for text in texts
        if text in addresses
        or ((match := dotted.fullmatch(text)) and (match[2][:1].isupper() or is_module(match[1], match[2])))
    ]


def is_module(package: str, name: str) -> bool:
    return (ROOT / package / f"{name}.py").exists() or (ROOT / package / name).is_dir()


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_names_point_down(layer):
    wrong = [
        f"{file.relative_to(ROOT)} names {text}"
        for file in files(layer)
        for text in names_upward(file.read_text(), layer)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("layer", "source", "count"),
    [
        ("strategies", 'reverse("subscribers:detail", args=[1])', 1),
        ("strategies", 'redirect("reporting:overview")', 1),
        ("strategies", 'PAGES = {"account": ("subscribers:list", 1)}', 1),
        ("users", 'reverse("people:members")', 1),
        ("users", 'resolve_url("readyz")', 1),
        ("users", 'resolve_url("account_login")', 0),
        ("subscribers", 'reverse("people:members")', 0),
        ("editing", 'reverse("editing:change")', 0),
        ("editing", 'app.send_task("reporting.tasks.sweep")', 1),
        ("strategies", 'ForeignKey("subscribers.Subscriber")', 1),
        ("editing", 'import_string("strategies.chains.leaf_ids")', 1),
        ("strategies", 'import_string("strategies.chains.leaf_ids")', 0),
        ("users", 'environ["copyportal.delivery"]', 0),
        ("users", '"""The app reporting.tasks is above."""', 0),
    ],
)
def test_the_rule_of_names_sees_what_it_is_for(layer, source, count):
    assert len(names_upward(source, layer)) == count


def circles(package: str) -> list[set[str]]:
    """Groups of modules of a package that import each other in a circle when they are loaded."""
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files(package)}
    imports = {name: loaded_modules(file) & set(modules) - {name} for name, file in modules.items()}
    reached: dict[str, set[str]] = {}
    for name in imports:
        waiting, reached[name] = [*imports[name]], set()
        while waiting:
            module = waiting.pop()
            if module not in reached[name]:
                reached[name].add(module)
                waiting += imports[module]
    groups = {frozenset({other for other in reached[name] if name in reached[other]}) for name in imports}
    return [set(group) for group in groups if len(group) > 1]


def loaded_modules(file: Path) -> set[str]:
    """Modules and their attributes that a file imports while it is loaded: not in functions, not for types only."""
    names = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("package", ["editing", "strategies", "subscribers", "users"])
def test_no_files_go_round_in_circles(package):
    assert circles(package) == []


def room_of(module: str) -> str:
    """The room of `copying.backend` that a module is in, nothing for other modules."""
    return module.partition("copying.backend.")[2].partition(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_inside_the_backend_point_down(room):
    above = set(ROOMS[ROOMS.index(room) + 1 :])
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files("copying/backend")
        if room_of(name_of(file)) == room
        for module in sorted(imported_files(file))
        if room_of(module) in above
    ]
    assert wrong == []


def test_every_room_of_the_backend_has_its_place():
    assert {room_of(name_of(file)) for file in files("copying/backend")} == {*ROOMS, "__init__"}


def test_no_files_import_each_other_in_a_circle():
    graph = {name_of(file): imported_files(file) for layer in LAYERS for file in files(layer)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


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
    secrets = {"SECRET_KEY": "only-for-this-process-" * 4, "FIELD_KEYS": Fernet.generate_key().decode()}
    given = {**os.environ, **secrets}  # as the rule tests are run without services, too
    asked = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, env=given)
    assert asked.stdout.strip() == "False", asked.stderr
