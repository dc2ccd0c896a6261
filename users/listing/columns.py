"""What a list shows: columns, where their values come from and whether one may sort by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F, Field


@dataclass(frozen=True)
class Column:
    """One value of a row.

    `key` names it in the URL and on the row. `source` is a field path, an expression or a function that makes one when
    the list is read; empty: the field named `key`.
    `is_sortable` promises an index with the scope before it and the id after it. `in_table` and `in_csv` say where
    it appears. `label` heads the table, `csv_name` the file (empty: the key).
    """

    key: str
    label: str = ""
    source: Any = ""
    is_sortable: bool = False
    is_number: bool = False
    in_table: bool = True
    in_csv: bool = True
    csv_name: str = ""
    hint: str = ""

    @property
    def path(self) -> Any:
        return self.source or self.key

    @property
    def expression(self) -> Any:
        """The value as an expression."""
        if isinstance(self.path, str):
            return F(self.path)
        return self.path() if callable(self.path) else self.path

    @property
    def heading(self) -> str:
        return self.csv_name or self.key


def output_field(queryset, key: str) -> Field:
    """The field of a column that `with_columns` put on the queryset."""
    annotation = queryset.query.annotations.get(key)
    return annotation.output_field if annotation is not None else queryset.model._meta.get_field(key)


def with_columns(queryset, columns):
    """The queryset with every column available under its key."""
    new = {column.key: column.expression for column in columns if column.path != column.key}
    return queryset.annotate(**new) if new else queryset
