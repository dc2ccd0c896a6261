"""The declaration of a list and the list as one request sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from zoneinfo import ZoneInfo

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from users.listing.columns import Column, with_columns
from users.listing.counting import Count, count_rows
from users.listing.export import csv_response, file_name
from users.listing.filters import Chip
from users.listing.keyset import Order, in_order, read_rows
from users.listing.parameters import BadParameter, address, first_page
from users.models import Membership

PAGE_ROWS = 50
MOST_NEW_ROWS = 100


@dataclass(frozen=True)
class Listing:
    """Columns, filters and the sort that holds when the URL names none (a minus: falling)."""

    name: str
    columns: tuple[Column, ...]
    sort: str
    filters: tuple = ()
    page_rows: int = PAGE_ROWS

    def bind(self, request: HttpRequest, queryset, *, zone: ZoneInfo | None = None) -> Table:
        """The list for this request. Raises BadParameter when its URL makes no sense."""
        table = Table(self, request, with_columns(queryset, self.columns), zone or timezone.get_current_timezone())
        table.check()
        return table


@dataclass(frozen=True)
class Heading:
    """A column's head: `href` sorts by it, `direction` is "ascending", "descending" or empty."""

    column: Column
    href: str
    direction: str


@dataclass(frozen=True)
class Applied:
    """A filter in use with the address of the list without it."""

    chip: Chip
    href: str


@dataclass
class Table:
    """A list bound to a request: read lazily, at most once each."""

    listing: Listing
    request: HttpRequest
    everything: object
    zone: ZoneInfo
    parameters: dict = field(init=False)

    def __post_init__(self):
        self.parameters = {key: values[-1] for key, values in self.request.GET.lists()}

    def check(self) -> None:
        """Read every parameter once, so that a wrong one is found before anything is answered."""
        _ = self.order, self.filtered, self._positions
        if self.parameters.get("format", "csv") != "csv":
            raise BadParameter("“format” can only be “csv”.")

    @property
    def membership(self) -> Membership | None:
        """Whose list it is: filters offer no more than this member may see."""
        return getattr(self.request, "membership", None)

    @property
    def wants_csv(self) -> bool:
        return self.parameters.get("format") == "csv"

    @cached_property
    def order(self) -> Order:
        asked = self.parameters.get("sort") or self.listing.sort
        sortable = [column.key for column in self.listing.columns if column.is_sortable]
        if asked.removeprefix("-") not in sortable:
            raise BadParameter(f"This list cannot be sorted by “{asked[:60]}”, but by {', '.join(sortable)}.")
        return Order(asked.removeprefix("-"), asked.startswith("-"), self.listing.name)

    @cached_property
    def filtered(self):
        """All rows of the list, unsorted."""
        queryset = self.everything
        for filter_ in self.listing.filters:
            queryset = filter_.narrow(queryset, self.parameters, self.zone, self.membership)
        return queryset

    @cached_property
    def _positions(self) -> dict:
        positions = {key: self.parameters.get(key, "") for key in ("after", "before", "newer")}
        if sum(bool(value) for value in positions.values()) > 1:
            raise BadParameter("A list is read either after or before a position, not both.")
        return {key: self.order.unsign(value) if value else None for key, value in positions.items()}

    @cached_property
    def _read(self) -> list:
        """One row more than a page, to know whether there is another page."""
        names = list(dict.fromkeys(["id", *(column.key for column in self.listing.columns if column.in_table)]))
        after, before = self._positions["after"], self._positions["before"]
        return read_rows(
            self.filtered, self.order, limit=self.listing.page_rows + 1, after=after, before=before, names=names
        )

    @property
    def is_backwards(self) -> bool:
        return self._positions["before"] is not None

    @property
    def has_more(self) -> bool:
        return len(self._read) > self.listing.page_rows

    @cached_property
    def rows(self) -> list:
        """The rows of this page, as named tuples."""
        if not self.has_more:
            return self._read
        return self._read[1:] if self.is_backwards else self._read[: self.listing.page_rows]

    @cached_property
    def count(self) -> Count:
        if not self.has_more and self._positions["after"] is None and self._positions["before"] is None:
            return Count(len(self.rows), is_exact=True)
        return count_rows(self.filtered)

    @property
    def newer_count(self) -> int:
        """How many rows have come before the position `newer`, up to 100."""
        before = self._positions["newer"]
        return len(read_rows(self.filtered, self.order, limit=MOST_NEW_ROWS, after=None, before=before, names=["id"]))

    # --- addresses --------------------------------------------------------------------------------------------------
    def href(self, **changes: str) -> str:
        """This list with other parameters, from its first page."""
        return address(self.request.path, {**first_page(self.parameters), **changes})

    @property
    def first_href(self) -> str:
        return self.href()

    @property
    def next_href(self) -> str:
        """The next page, or empty."""
        there_is = bool(self.rows) and (self.has_more or self.is_backwards)
        return self.href(after=self.order.sign(self.rows[-1])) if there_is else ""

    @property
    def previous_href(self) -> str:
        """The page before this one, or empty."""
        there_is = bool(self.rows) and (self.has_more if self.is_backwards else self._positions["after"] is not None)
        return self.href(before=self.order.sign(self.rows[0])) if there_is else ""

    @property
    def newer_href(self) -> str:
        """Where to ask how many rows came since this page was made; empty when that is no question here."""
        is_first = self._positions["after"] is None and self._positions["before"] is None
        return self.href(newer=self.order.sign(self.rows[0])) if is_first and self.rows else ""

    @property
    def csv_href(self) -> str:
        return self.href(format="csv")

    @property
    def clear_href(self) -> str:
        """The list without any filter."""
        used = {key for filter_ in self.listing.filters for key in filter_.keys}
        rest = {key: value for key, value in first_page(self.parameters).items() if key not in used}
        return address(self.request.path, rest)

    @cached_property
    def headings(self) -> list[Heading]:
        return [self._heading(column) for column in self.listing.columns if column.in_table and column.label]

    def _heading(self, column: Column) -> Heading:
        if not column.is_sortable:
            return Heading(column, "", "")
        is_current = self.order.key == column.key
        starts_falling = column.is_number or f"-{column.key}" == self.listing.sort
        falling = not self.order.is_descending if is_current else starts_falling
        direction = ("descending" if self.order.is_descending else "ascending") if is_current else ""
        return Heading(column, self.href(sort=f"{'-' if falling else ''}{column.key}"), direction)

    @cached_property
    def applied(self) -> list[Applied]:
        """The filters in use, each with the address of the list without it."""
        applied = []
        for filter_ in self.listing.filters:
            for chip in filter_.chips(self.parameters, self.membership):
                rest = {key: value for key, value in first_page(self.parameters).items() if key not in chip.keys}
                applied.append(Applied(chip, address(self.request.path, rest)))
        return applied

    @property
    def whole(self):
        """Every row that the filters leave, in the order of the list."""
        return in_order(self.filtered, self.order)

    @property
    def csv_columns(self) -> list[Column]:
        return [column for column in self.listing.columns if column.in_csv]

    def csv(self) -> StreamingHttpResponse:
        """Exactly the rows that the filters leave, in the order of the list, as a streamed file."""
        return csv_response(self.whole, self.csv_columns, self.file_name)

    @property
    def file_name(self) -> str:
        """What the file is called: the list, its filters and today."""
        today = timezone.now().astimezone(self.zone).date()
        return file_name(self.listing.name, (applied.chip.text for applied in self.applied), on=today)
