"""No form turns typed text into a number or a day by itself: users/numbers.py does it for all."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("users", "jobs", "editing", "accounts", "strategies", "subscribers", "reporting", "api", "copyportal")
FIELDS = {"DecimalField", "FloatField", "IntegerField", "NumberInput", "DateField", "DateTimeField", "TimeField"}
READER = "users/numbers.py"


def form_modules() -> list[Path]:
    """Modules that have forms or read what was posted."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py") if "migrations" not in file.parts]
    words = ("from django import forms", "import forms", ".POST", "class Widget")
    return [file for file in files if any(word in file.read_text() for word in words)]


def readings(tree: ast.AST) -> list[str]:
    """Calls that read a number out of text: form fields, Decimal(...) and float(...) of what is no literal."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and called.attr in FIELDS and ast.unparse(called.value) == "forms":
            found.append(ast.unparse(called))
        if isinstance(called, ast.Name) and called.id in ("Decimal", "float") and node.args:
            given = node.args[0]
            is_typed = isinstance(given, ast.Name) and given.id in ("text", "typed")
            if is_typed or "POST" in ast.unparse(given):
                found.append(ast.unparse(node))
    return found


def test_forms_leave_numbers_to_the_one_reader():
    wrong = {}
    for file in form_modules():
        name = str(file.relative_to(ROOT))
        if name != READER and (found := readings(ast.parse(file.read_text()))):
            wrong[name] = found
    assert wrong == {}
    assert any(str(file.relative_to(ROOT)) == "reporting/forms.py" for file in form_modules())


def test_the_rule_sees_what_it_looks_for():
    assert readings(ast.parse("forms.DecimalField(); forms.DateField(); Decimal(text); float(request.POST['a'])")) == [
        "forms.DecimalField",
        "forms.DateField",
        "Decimal(text)",
        "float(request.POST['a'])",
    ]
    assert readings(ast.parse("Decimal('1'); Decimal(repr(value)); float(row)")) == []
