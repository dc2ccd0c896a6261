"""Lists and single rows of them: the filters, sorts and pages of the portal's own lists, as JSON.

A list is declared once more only for what a program may see of a row: its serializer is the list of allowed fields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import DAY, NUMBER, TEXT, ApiView, Guard, Parameter
from api.fields import RowSerializer
from users.listing import BadParameter, Between, Choice, Column, DayRange, Listing
from users.listing.columns import with_columns
from users.listing.filters import Filter
from users.models import Membership
from users.parsing import whole_number
from users.permissions import staff_only

ZONE = ZoneInfo("UTC")
PAGE_ROWS, MOST_ROWS = 50, 200
POSITION = {"type": "string"}


def listing_for(listing: Listing, serializer: type[RowSerializer], *more: Column) -> Listing:
    """The portal's list with exactly the columns that a serializer reads. more: columns that no page shows."""
    columns = (*listing.columns, *more)
    known = {column.key for column in columns}
    if missing := set(serializer.reads) - known:
        raise ValueError(f"{serializer.__name__} reads {sorted(missing)}, which {listing.name} does not have.")
    return replace(
        listing, columns=tuple(replace(column, in_table=column.key in serializer.reads) for column in columns)
    )


def parameters_of(listing: Listing, serializer: type[RowSerializer]) -> tuple[Parameter, ...]:
    """What a list takes: its pages, its order, the choice of fields, its filters."""
    keys = [column.key for column in listing.columns if column.is_sortable]
    sorts = {"type": "string", "enum": [f"{sign}{key}" for key in keys for sign in ("", "-")]}
    limits = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": PAGE_ROWS}
    names = "|".join(serializer._declared_fields)
    return (
        Parameter("limit", f"How many rows, at most {MOST_ROWS}.", limits),
        Parameter("after", "The position that “next” of the page before names.", POSITION),
        Parameter("before", "The position that “previous” of the page after names.", POSITION),
        Parameter("sort", "The order; with a minus falling.", sorts | {"default": listing.sort}),
        Parameter(
            "fields",
            "Only these fields, with commas between them; the id is always there.",
            {"type": "string", "pattern": f"^({names})(,({names}))*$"},
        ),
        *(parameter for entry in listing.filters for parameter in parameters_of_filter(entry)),
    )


def parameters_of_filter(entry: Filter) -> Iterable[Parameter]:
    """The parameters of one filter."""
    if isinstance(entry, DayRange):
        yield Parameter("from", f"{entry.label}: from this day on, UTC.", DAY)
        yield Parameter("to", f"{entry.label}: until this day, included, UTC.", DAY)
    elif isinstance(entry, Between):
        lowest, highest = entry.keys
        yield Parameter(lowest, f"{entry.label}: at least.", NUMBER)
        yield Parameter(highest, f"{entry.label}: at most.", NUMBER)
    elif isinstance(entry, Choice) and not callable(entry.options):
        values = [option.value for option in entry.options]
        yield Parameter(entry.key, f"{entry.label}.", {"type": "string", "enum": values})
    else:
        yield Parameter(entry.key, f"{entry.placeholder or entry.label}.", TEXT)


class OfRows(ApiView, ABC):
    """What lists and single rows share. listing: with the columns that the serializer `row` reads."""

    listing: ClassVar[Listing]
    row: ClassVar[type[RowSerializer]]
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}

    @abstractmethod
    def rows(self, membership: Membership) -> QuerySet:
        """What the member may see."""

    def context_of(self, membership: Membership, rows: Sequence[Any]) -> dict[str, Any]:
        """What the serializer needs beside the rows."""
        return {}

    def read(self, pk: int) -> Any:
        """A row as a named tuple. Raises Http404."""
        wanted = with_columns(self.rows(self.membership).filter(pk=pk), self.listing.columns)
        row = wanted.values_list("id", *self.row.reads, named=True).first()
        if row is None:
            raise Http404
        return row

    def written(self, pk: int) -> dict[str, Any]:
        """A row as it is answered."""
        row = self.read(pk)
        return self.row(row, context=self.context_of(self.membership, [row])).data


class ListView(OfRows):
    """A list with its filters, sorts and pages."""

    is_list = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.parameters = parameters_of(cls.listing, cls.row)
        page = page_serializer(cls.row)  # type: ignore[arg-type]  # classes can be hashed
        cls.answers = {**cls.__dict__.get("answers", {}), "GET": page}

    def get(self, request: Request, **kwargs: Any) -> Response:
        listing = replace(self.listing, page_rows=limit_of(request))
        table = listing.bind(request._request, self.rows(self.membership), zone=ZONE)
        only, context = fields_of(request, self.row), self.context_of(self.membership, table.rows)
        next_page, previous_page = (
            href and request.build_absolute_uri(href) for href in (table.next_href, table.previous_href)
        )
        return Response(
            {
                "results": self.row(table.rows, many=True, only=only, context=context).data,
                "next": next_page or None,
                "previous": previous_page or None,
            }
        )


class RowView(OfRows):
    """One row of a list, with the same fields and perhaps more."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.answers = {"GET": cls.row}

    def get(self, request: Request, pk: int) -> Response:
        return Response(self.written(pk))


def limit_of(request: Request) -> int:
    """How many rows a page has. Raises BadParameter."""
    text = request.query_params.get("limit", "") or str(PAGE_ROWS)
    limit = whole_number(text, largest=MOST_ROWS)
    if not limit:
        raise BadParameter(f"“limit” is a number from 1 to {MOST_ROWS}.")
    return limit


def fields_of(request: Request, serializer: type[RowSerializer]) -> set[str] | None:
    """The fields that were asked for; None: all. Raises BadParameter."""
    text = request.query_params.get("fields", "")
    known = serializer._declared_fields
    names = set(text.split(",")) if text else set()
    if unknown := sorted(names - set(known)):
        raise BadParameter(f"“{unknown[0][:60]}” is not a field: there are {', '.join(known)}.")
    return names or None


@cache
def page_serializer(row: Any) -> type[serializers.Serializer]:
    """The serializer of a page of rows, for the schema."""
    fields = {
        "results": row(many=True),
        "next": serializers.URLField(allow_null=True, help_text="The next page; null: this is the last."),
        "previous": serializers.URLField(allow_null=True, help_text="The page before; null: this is the first."),
        "__doc__": f"A page of {row.__name__}.",
    }
    return type(f"{row.__name__}Page", (serializers.Serializer,), fields)
