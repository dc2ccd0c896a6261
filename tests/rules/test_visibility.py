"""Views begin every read of a tenant's rows with `visible_to`: the rule is checked here, so nobody has to remember it.

A read that is tied to rows which were read so (a subquery with OuterRef, the parts of an object at hand) is named below
with what it hangs on; anything else is wrong, also where today a decorator keeps strangers out.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("users", "jobs", "editing", "accounts", "strategies", "subscribers", "reporting", "api")
BEGINNINGS = ("visible_to", "incoming")
# file and function: what the read hangs on, which began with `visible_to`
TIED = {
    ("strategies/edit_views.py", "remove_member"): "the portfolio",
    ("strategies/views.py", "portfolio_members"): "the portfolio",
    ("subscribers/edit_views.py", "problem_with_account"): "a connection of the workspace",
    ("subscribers/views.py", "active_stopouts"): "the account",
    ("reporting/views/terms.py", "currency_words"): "the change",
    ("reporting/views/periods.py", "period"): "the period",
    ("reporting/views/periods.py", "incoming_of"): "the period",
}


def scoped_models() -> set[str]:
    """Names of the models whose managers have `visible_to`."""
    return {model.__name__ for model in apps.get_models() if hasattr(model._default_manager, "visible_to")}


def view_files() -> list[Path]:
    return sorted(
        file
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if file.parent.name in ("views", "resources")
        or file.stem.endswith("views")
        or file.stem in ("resync", "form_pages")
    )


def reads_of(tree: ast.AST, models: set[str]) -> list[tuple[str, int, str]]:
    """(function, line, what) of every read that begins otherwise; one inside a subquery has an OuterRef."""
    wrong = []

    def walk(node: ast.AST, function: str) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            source = node.func.value
            if (
                isinstance(source, ast.Attribute)
                and source.attr == "objects"
                and getattr(source.value, "id", "") in models
                and node.func.attr not in BEGINNINGS
                and "OuterRef" not in ast.unparse(node)
            ):
                wrong.append((function, node.lineno, f"{source.value.id}.objects.{node.func.attr}"))
        for child in ast.iter_child_nodes(node):
            walk(child, function)

    walk(tree, "")
    return wrong


def test_every_read_of_a_view_begins_with_visible_to():
    models = scoped_models()
    wrong = [
        f"{file.relative_to(ROOT)}:{line} {function}: {what}"
        for file in view_files()
        for function, line, what in reads_of(ast.parse(file.read_text()), models)
        if (str(file.relative_to(ROOT)), function) not in TIED
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def log(request):\n    LogRecord.objects.filter(workspace=request.workspace)", 1),
        ("def log(request):\n    LogRecord.objects.all()", 1),
        ("def log(request):\n    get_object_or_404(LogRecord.objects.defer('x'), pk=1)", 1),
        ("def log(request):\n    LogRecord.objects.visible_to(request.membership).filter(level='x')", 0),
        ("def log(request):\n    Exists(LogRecord.objects.filter(time=OuterRef('time')))", 0),
        ("def log(request):\n    Workspace.objects.all()", 0),
    ],
)
def test_the_rule_sees_what_it_is_for(source, count):
    assert len(reads_of(ast.parse(source), {"LogRecord"})) == count


def test_what_everybody_reads_by_rows_can_be_scoped():
    assert {
        "Strategy",
        "Subscriber",
        "Stopout",
        "Change",
        "Transaction",
        "Decision",
        "LogRecord",
        "Statement",
        "BillingPeriod",
        "Payment",
        "CommissionLine",
    } <= scoped_models()
