"""What the repository may contain: locks without addresses, documented settings, no foreign paths, sane sizes."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 450, 700, 70
LONGEST_TEMPLATE_LINE = 160
GENERATED = ("migrations/", "static/vendor/")


def tracked(*suffixes: str) -> list[Path]:
    """Files of the repository, or of the folder where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        files = [file for file in ROOT.rglob("*") if not {".venv", "var", ".git"} & set(file.parts)]
    else:
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    chosen = [file for file in files if file.is_file() and (not suffixes or file.suffix in suffixes)]
    return [file for file in chosen if not any(part in str(file) for part in GENERATED)]


def test_no_links_are_tracked():
    """A link to something of one machine, such as an environment, replaces what others have in its place."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True)
    assert [line for line in listed.stdout.splitlines() if line.startswith("120000")] == []


@pytest.mark.parametrize("lock", sorted(ROOT.glob("*.lock")), ids=lambda lock: lock.name)
def test_locks_name_hashes_and_no_addresses(lock):
    text = lock.read_text()
    assert "://" not in text
    names = re.findall(r"^[a-z0-9][^ =\n]*==", text, re.MULTILINE)
    assert names
    assert text.count("--hash=sha256:") >= len(names)


def test_every_setting_read_from_the_environment_is_documented():
    source = (ROOT / "copyportal/settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    for file in (ROOT / "copyportal/services").glob("*.py"):
        read |= set(re.findall(r'environ(?:\.get)?[(\[]"([A-Z_]+)"', file.read_text()))
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs/operations.md").read_text()))
    assert read - documented == set()


def test_only_settings_read_the_environment():
    allowed = ("copyportal/settings.py", "copyportal/services/", "tests/", "manage.py", "deploy/")
    wrong = [
        str(file.relative_to(ROOT))
        for file in tracked(".py")
        if not str(file.relative_to(ROOT)).startswith(allowed)
        and re.search(r"os\.environ(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE)|getenv\(", file.read_text())
    ]
    assert wrong == []


def test_no_path_of_one_machine():
    homes = re.compile(r"(?<![\w.])/(?:" + "|".join(["root", "home", "Users", "work"]) + r")/\w")
    wrong = []
    for file in tracked(".py", ".md", ".toml", ".yml", ".html", ".js", ".css", ".service", ".sh", ""):
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        wrong += [f"{file.relative_to(ROOT)}: {match}" for match in homes.findall(text)]
    assert wrong == []


def test_files_and_functions_have_a_size_one_can_read():
    wrong = []
    for file in tracked(".py"):
        text = file.read_text()
        name = str(file.relative_to(ROOT))
        if text.count("\n") > (LONGEST_TEST_FILE if name.startswith("tests/") else LONGEST_FILE):
            wrong.append(f"{name} has {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > LONGEST_FUNCTION and not name.startswith("tests/"):
                    wrong.append(f"{name}: {node.name} has {length} lines")
    assert wrong == []


def test_lines_of_templates_have_a_length_one_can_read():
    found = {}
    for file in tracked(".html"):
        long = sum(len(line) > LONGEST_TEMPLATE_LINE for line in file.read_text().split("\n"))
        if long:
            found[str(file.relative_to(ROOT))] = long
    assert found == {}


# tables of one row per line, wider than the formatter leaves them: how many of a file it does not lay out
LAID_OUT_BY_HAND = {
    "editing/fields.py": 1,  # all settings, as they stand on the page
}


def test_the_formatter_lays_out_everything_else():
    """A record, a list or a call reads as well in the formatter's layout."""
    marks = re.compile(r"# fmt: (?:skip|off)\b")
    counts = {str(file.relative_to(ROOT)): len(marks.findall(file.read_text())) for file in tracked(".py")}
    del counts[str(Path(__file__).relative_to(ROOT))]
    assert {name: count for name, count in counts.items() if count > LAID_OUT_BY_HAND.get(name, 0)} == {}


def test_every_module_says_why_it_exists():
    wrong = [
        str(file.relative_to(ROOT))
        for file in tracked(".py")
        if file.read_text().strip() and ast.get_docstring(ast.parse(file.read_text())) is None
    ]
    assert wrong == []


# what another library finds and uses by itself where it is installed
USED_BY_OTHERS = {"argon2-cffi": "Django's Argon2PasswordHasher", "httptools": "uvicorn's HttpToolsProtocol"}


def test_every_runtime_dependency_is_used():
    """The product imports it, or names it in a setting or a command."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    product = [file for file in tracked(".py") if not str(file.relative_to(ROOT)).startswith("tests/")]
    source = "\n".join(file.read_text() for file in product)
    installed = packages_distributions()
    unused = set()
    for declared in project["dependencies"]:
        name = re.match(r"[\w-]+", declared)[0]
        words = "|".join(modules_of(name, installed)) or "nothing installed"
        if not re.search(rf"^\s*(?:from|import) (?:{words})\b|[\"'](?:{words})[\"'.]", source, re.MULTILINE):
            unused.add(name)
    assert unused == set(USED_BY_OTHERS)


def modules_of(distribution: str, installed: Mapping[str, list[str]]) -> list[str]:
    """The top level modules that a distribution brings. installed: the distributions of each module."""
    spelling = re.sub(r"[-_.]+", "-", distribution).lower()
    return [
        module
        for module, owners in installed.items()
        if not module.startswith("_") and any(re.sub(r"[-_.]+", "-", owner).lower() == spelling for owner in owners)
    ]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_files_that_the_first_pages_name_exist(name):
    text = (ROOT / name).read_text()
    named = re.findall(r"`(\w[\w/]*/[\w/]*(?:\.py|/))`", text)
    linked = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    # folders of run-time data are made at the start
    assert [path for path in {*named, *linked} - {"var/"} if not (ROOT / path).exists()] == []


def test_known_weak_places_are_still_there():
    """An entry whose file is gone would hide a new one of that name (docs/security.md, V15)."""
    known = json.loads((ROOT / "tools/bandit.json").read_text())["results"]
    assert {entry["issue_severity"] for entry in known} <= {"MEDIUM", "HIGH"}
    assert [entry["filename"] for entry in known if not (ROOT / entry["filename"]).exists()] == []
