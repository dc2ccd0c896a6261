"""The bootstrap runs before anything is installed, also on interpreters that are too old."""

import ast
import sys
from pathlib import Path

from copyportal.services import bootstrap

SOURCE = Path(bootstrap.__file__)


def test_it_uses_the_standard_library_only():
    names = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names <= set(sys.stdlib_module_names)


def test_an_old_interpreter_can_read_it():
    ast.parse(SOURCE.read_text(), feature_version=(3, 5))


def test_the_stamp_follows_the_lock(monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "ROOT", str(tmp_path))
    monkeypatch.setattr(bootstrap, "VENV", str(tmp_path))
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    lock = tmp_path / "requirements.lock"
    lock.write_text("one")
    assert not bootstrap._is_current("requirements.lock")
    Path(bootstrap._stamp("requirements.lock")).write_text(bootstrap._digest("requirements.lock"))
    assert bootstrap._is_current("requirements.lock")
    lock.write_text("two")
    assert not bootstrap._is_current("requirements.lock")
