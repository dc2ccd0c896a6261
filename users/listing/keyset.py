"""Keyset pages: the rows after or before a row, at the same cost at any depth.

Order is (value, id) in one direction for both, so an index on (scope, value, id) serves it both ways. Rows without a
value come last whatever the direction, as a second segment of the same walk. A position is signed: it cannot be made
up, and is only valid for the list and sort it was made for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.core.signing import BadSignature, Signer
from django.db.models import BooleanField, F, Value
from django.db.models.expressions import Combinable, Expression

from users.listing.columns import output_field
from users.listing.parameters import BadParameter


@dataclass(frozen=True)
class Position:
    """A row's place in the order: its value as text (None: it has none) and its id, a UUID as text."""

    value: str | None
    id: int | str


class RowComparison(Expression):
    """`(a, b) < (c, d)` as PostgreSQL compares rows, which an index on (a, b) answers by itself."""

    def __init__(self, left: tuple, operator: str, right: tuple):
        super().__init__(output_field=BooleanField())
        self.operator = operator
        self.sides = [*left, *right]

    def get_source_expressions(self) -> list:
        return self.sides

    def set_source_expressions(self, exprs: Sequence[Combinable | Expression]) -> None:
        self.sides = list(exprs)

    def as_sql(self, compiler, connection):
        parts, parameters = [], []
        for side in self.sides:
            sql, values = compiler.compile(side)
            parts.append(sql)
            parameters += values
        return f"(({parts[0]}, {parts[1]}) {self.operator} ({parts[2]}, {parts[3]}))", parameters


@dataclass(frozen=True)
class Order:
    """Sorted by one column, rows without a value last."""

    key: str
    is_descending: bool
    purpose: str

    def sign(self, row) -> str:
        """The signed position of a row."""
        value = getattr(row, self.key)
        text = value.isoformat() if isinstance(value, datetime | date) else None if value is None else str(value)
        return self._signer().sign_object([text, row.id if isinstance(row.id, int) else str(row.id)])

    def unsign(self, signed: str) -> Position:
        """The position that `sign` made. Raises BadParameter for anything else."""
        try:
            value, row_id = self._signer().unsign_object(signed)
        except (BadSignature, ValueError):
            raise BadParameter("This position in the list is not valid (any more): open the list from its start.")
        return Position(value, row_id)

    def _signer(self) -> Signer:
        return Signer(salt=f"listing:{self.purpose}:{'-' if self.is_descending else ''}{self.key}")


def read_rows(queryset, order: Order, *, limit: int, after: Position | None, before: Position | None, names) -> list:
    """At most `limit` rows next to a position, in the list's order, as named tuples of `names`.

    Without a position: from the start. `before` walks backwards and gives the rows in reading order.
    """
    backwards = before is not None
    position = before if backwards else after
    rows: list = []
    for is_null in _segments(queryset, order, position, backwards):
        within = position if position and (position.value is None) == is_null else None
        segment = _segment(queryset, order, is_null, within, backwards)
        rows += segment.values_list(*names, named=True)[: limit - len(rows)]
        if len(rows) >= limit:
            break
    return rows[::-1] if backwards else rows


def _segments(queryset, order: Order, position: Position | None, backwards: bool) -> list[bool]:
    """The segments still to walk, as "is null": values first, then the rows without one."""
    field = output_field(queryset, order.key)
    if not field.null:
        return [False]
    if position is None:
        return [False, True]
    if backwards:
        return [True, False] if position.value is None else [False]
    return [True] if position.value is None else [False, True]


def _segment(queryset, order: Order, is_null: bool, position: Position | None, backwards: bool):
    falling = order.is_descending != backwards
    field = output_field(queryset, order.key)
    operator = "<" if falling else ">"
    if field.null:
        queryset = queryset.filter(**{f"{order.key}__isnull": is_null})
    if is_null:
        if position:
            queryset = queryset.filter(**{"id__lt" if falling else "id__gt": position.id})
        return queryset.order_by("-id" if falling else "id")
    if position:
        id_field = output_field(queryset, "id")
        row_id = Value(id_field.to_python(position.id), output_field=id_field)
        bounds = (Value(field.to_python(position.value), output_field=field), row_id)
        queryset = queryset.filter(RowComparison((F(order.key), F("id")), operator, bounds))
    sign = "-" if falling else ""
    return queryset.order_by(f"{sign}{order.key}", f"{sign}id")


def in_order(queryset, order: Order):
    """The whole list in its order, for downloads."""
    value = F(order.key).desc(nulls_last=True) if order.is_descending else F(order.key).asc(nulls_last=True)
    if not output_field(queryset, order.key).null:
        value = F(order.key).desc() if order.is_descending else F(order.key).asc()
    return queryset.order_by(value, "-id" if order.is_descending else "id")
