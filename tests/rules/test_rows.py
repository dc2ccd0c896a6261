"""Rows are read by the package that keeps them, or by one above: no table, related manager or lookup of an upper one.

Imports and names of models do not show these (`test_layers.py`): a relation can be followed from its other end, and SQL
names any table. What a lower package needs of an upper one is registered with it (`users/syncing.py`).
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from django.apps import apps

from tests.rules.test_layers import LAYERS, ROOT, files

# what may follow a related manager: `connection.sync_states.filter(...)`; `values` and `get` of a mapping are no such
OF_A_MANAGER = {"all", "filter", "exclude", "exists", "count", "first", "last", "order_by", "values_list", "create"}
OF_A_MANAGER |= {"none", "aggregate", "annotate", "defer", "only", "select_related", "prefetch_related", "visible_to"}
EXPRESSIONS = {"Q", "F", "Count", "Sum", "Min", "Max", "Avg", "Exists", "OuterRef", "Prefetch"}
OF_A_QUERY = OF_A_MANAGER | EXPRESSIONS | {"values", "get", "update", "get_object_or_404", "get_list_or_404"}


@cache
def upper_tables(layer: str) -> set[str]:
    above = LAYERS[LAYERS.index(layer) + 1 :]
    return {model._meta.db_table for model in apps.get_models() if model._meta.app_label in above}


@cache
def upper_relations(layer: str) -> set[str]:
    """Names under which models of packages above are reached from those of a package and of the ones below it."""
    known, above = LAYERS[: LAYERS.index(layer) + 1], LAYERS[LAYERS.index(layer) + 1 :]
    return {
        name
        for model in apps.get_models()
        if model._meta.app_label in known
        for relation in model._meta.related_objects
        if relation.related_model._meta.app_label in above
        for name in (relation.get_accessor_name(), relation.name)
    }


def rows_upward(source: str, layer: str) -> list[str]:
    """Where a file reads rows of a package above: a table in SQL, a related manager, a lookup through a relation."""
    tables, relations = upper_tables(layer), upper_relations(layer)
    upward: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            upward += [table for table in tables if re.search(rf"\b{table}\b", node.value)]
            if re.fullmatch(r"-?\w+__\w+", node.value):
                upward += [node.value] * bool(relations & set(node.value.removeprefix("-").split("__")))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            upward += [node.value.attr] * (node.attr in OF_A_MANAGER and node.value.attr in relations)
        elif isinstance(node, ast.Call) and called(node) in OF_A_QUERY:
            words = [keyword.arg for keyword in node.keywords if keyword.arg]
            if called(node) != "get":  # of a mapping
                words += [text.value for text in node.args if isinstance(text, ast.Constant)]
            upward += [word for word in words if relations & set(str(word).removeprefix("-").split("__"))]
    return upward


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_reads_of_rows_point_down(layer):
    wrong = [
        f"{file.relative_to(ROOT)} reads {text}"
        for file in files(layer)
        for text in rows_upward(file.read_text(), layer)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("layer", "source", "is_upward"),
    [
        ("subscribers", 'RawSQL("SELECT sum(profit) FROM reporting_dailyresult daily", [])', True),
        ("reporting", 'RawSQL("SELECT sum(profit) FROM reporting_dailyresult daily", [])', False),
        ("reporting", 'RawSQL("SELECT name FROM subscribers_subscriber", [])', False),
        ("copying", 'cursor.execute(f"DELETE FROM users_connection WHERE id = {key}")', True),
        ("copying", 'cursor.execute("DELETE FROM copying_entry")', False),
        ("strategies", "connection.sync_states.filter(failing_since=None)", True),
        ("strategies", "strategy.workspace.stopouts.count()", True),
        ("strategies", "strategy.connection.strategies.count()", False),
        ("subscribers", "strategy.subscriptions.all()", False),
        ("users", "workspace.dailyresult_set.exists()", True),
        ("strategies", "client.subscribers()", False),
        ("strategies", 'document["subscriptions"].values()', False),
        ("strategies", 'document.get("subscriptions")', False),
        ("strategies", "Strategy.objects.filter(subscriptions__is_removed=False)", True),
        ("strategies", "Strategy.objects.filter(subscriptions=1)", True),
        ("strategies", 'ACCOUNT = "subscriptions__subscriber"', True),
        ("strategies", "Strategy.objects.filter(connection__is_enabled=True)", False),
        ("subscribers", "Q(connection__sync_states__failing_since=None)", True),
        ("users", 'connections.prefetch_related("sync_states")', True),
        ("users", 'rows.order_by("-accesses")', True),
        ("subscribers", 'Membership.objects.filter(accesses__subscriber=1).order_by("-accesses")', False),
    ],
)
def test_the_rule_of_rows_sees_what_it_is_for(layer, source, is_upward):
    assert bool(rows_upward(source, layer)) is is_upward
