"""Filters of a list: each reads its own parameters, says what they mean, and narrows the queryset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import CharField, Lookup, Q, QuerySet

from users import parsing
from users.listing.parameters import BadParameter
from users.models import Membership
from users.numbers import Unclear, read_number

LONGEST_TEXT = 100
FEW_IDS = 100


@dataclass(frozen=True)
class Option:
    """One accepted value of a choice. `condition` replaces the equality with the filter's field."""

    value: str
    label: str
    condition: Q | None = None


@dataclass(frozen=True)
class Chip:
    """A filter in use: what it says and which parameters go away with it."""

    label: str
    text: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Filter:
    """The part all filters share: `key` in the URL, `label` on the page, `field` in the database."""

    key: str
    label: str
    field: str = ""
    placeholder: str = ""
    kind = "text"

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    def text(self, parameters) -> str:
        value = parameters.get(self.key, "").strip()
        if len(value) > LONGEST_TEXT or "\x00" in value:
            raise BadParameter(f"“{self.label}” is longer than {LONGEST_TEXT} characters or holds a forbidden one.")
        return value


@dataclass(frozen=True)
class Text(Filter):
    """Equality with what was typed."""

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        return queryset.filter(**{self.field or self.key: value}) if value else queryset

    def chips(self, parameters, membership=None) -> list[Chip]:
        value = self.text(parameters)
        return [Chip(self.label, value, self.keys)] if value else []


class AnyOf(Lookup):
    """As `in`, with all values in one array: thousands of them are one value to send, to read and to plan."""

    lookup_name = "any_of"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        sql, parameters = self.process_lhs(compiler, connection)
        return f"{sql} = ANY(%s)", (*parameters, list(self.rhs))


CharField.register_lookup(AnyOf)


def with_ids(queryset: QuerySet, field: str, ids: Iterable[str]) -> QuerySet:
    """Rows whose field is one of these ids, however many."""
    listed = list(ids)
    return queryset.filter(**{f"{field}__any_of" if len(listed) > FEW_IDS else f"{field}__in": listed})


def no_ids(membership: Membership | None, text: str) -> Iterable[str]:
    """Nothing has such a name."""
    return ()


@dataclass(frozen=True)
class NameSearch(Text):
    """What has an id and a name that people gave: `ids` finds what was typed, among what a member may see."""

    ids: Callable[..., Iterable[str]] = no_ids
    kind = "search"

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        return with_ids(queryset, self.field or self.key, self.ids(membership, value)) if value else queryset


@dataclass(frozen=True)
class Search(Text):
    """Text contained in any of the fields, upper and lower case alike."""

    fields: tuple[str, ...] = ()
    kind = "search"

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        wanted = Q()
        for field in self.fields:
            wanted |= Q(**{f"{field}__icontains": value})
        return queryset.filter(wanted) if value else queryset


@dataclass(frozen=True)
class Choice(Filter):
    """One of a closed list. `options` is that list, or makes it from the membership for names
    that people gave: never more of them than the member may see rows of.
    """

    options: Iterable[Option] | Callable[..., Iterable[Option]] = ()
    kind = "choice"

    def accepted(self, membership) -> list[Option]:
        return list(self.options(membership) if callable(self.options) else self.options)

    def chosen(self, parameters, membership=None) -> Option | None:
        value = self.text(parameters)
        if not value:
            return None
        accepted = self.accepted(membership)
        for option in accepted:
            if option.value == value:
                return option
        if callable(self.options):
            # names come and go; an id that is gone has no rows, which is an answer and not a mistake
            return Option(value, value)
        raise BadParameter(f"“{self.label}” cannot be “{value}”; it is one of {', '.join(o.value for o in accepted)}.")

    def narrow(self, queryset, parameters, zone, membership=None):
        value = self.text(parameters)
        if not value:
            return queryset
        if callable(self.options):
            return queryset.filter(**{self.field or self.key: value})
        option = self.chosen(parameters)
        if option is None:
            return queryset
        return queryset.filter(option.condition or Q(**{self.field or self.key: option.value}))

    def chips(self, parameters, membership=None) -> list[Chip]:
        option = self.chosen(parameters, membership)
        return [Chip(self.label, option.label, self.keys)] if option else []


@dataclass(frozen=True)
class DayRange(Filter):
    """From one day to another, both included, as days of the reader's zone."""

    kind = "period"

    @property
    def keys(self) -> tuple[str, ...]:
        return ("from", "to")

    def day(self, parameters, key: str) -> date | None:
        value = parameters.get(key, "").strip()
        chosen = parsing.day(value)
        if value and chosen is None:
            raise BadParameter(f"“{key}” must be a day like 2026-01-31, not “{value[:LONGEST_TEXT]}”.")
        if chosen and not date(1970, 1, 1) <= chosen < date(9999, 1, 1):
            raise BadParameter(f"“{key}” must lie between 1970 and 9998.")
        return chosen

    def days(self, parameters) -> tuple[date | None, date | None]:
        start, end = self.day(parameters, "from"), self.day(parameters, "to")
        if start and end and start > end:
            raise BadParameter(f"The period ends ({end}) before it starts ({start}).")
        return start, end

    def narrow(self, queryset, parameters, zone: ZoneInfo, membership=None):
        start, end = self.days(parameters)
        field = self.field or self.key
        if start:
            queryset = queryset.filter(**{f"{field}__gte": _midnight(start, zone)})
        if end:
            queryset = queryset.filter(**{f"{field}__lt": _midnight(end + timedelta(days=1), zone)})
        return queryset

    def chips(self, parameters, membership=None) -> list[Chip]:
        start, end = self.days(parameters)
        if start and end:
            return [Chip(self.label, f"{start} to {end}", self.keys)]
        if start:
            return [Chip(self.label, f"from {start}", self.keys)]
        return [Chip(self.label, f"until {end}", self.keys)] if end else []


@dataclass(frozen=True)
class Between(Filter):
    """A number from a smallest to a largest, both included: the parameters are `<key>_min` and `<key>_max`."""

    kind = "between"

    @property
    def keys(self) -> tuple[str, ...]:
        return (f"{self.key}_min", f"{self.key}_max")

    def bounds(self, parameters) -> tuple[Decimal | None, Decimal | None]:
        lowest, highest = (self._bound(parameters, key) for key in self.keys)
        if lowest is not None and highest is not None and lowest > highest:
            raise BadParameter(f"“{self.label}” begins ({lowest}) above its end ({highest}).")
        return lowest, highest

    def _bound(self, parameters, key: str) -> Decimal | None:
        value = parameters.get(key, "").strip()
        if not value:
            return None
        try:
            return read_number(value, decimals=8)
        except Unclear as error:
            raise BadParameter(f"“{self.label}”, {value[:LONGEST_TEXT]}: {error}") from error

    def narrow(self, queryset, parameters, zone, membership=None):
        lowest, highest = self.bounds(parameters)
        field = self.field or self.key
        if lowest is not None:
            queryset = queryset.filter(**{f"{field}__gte": lowest})
        return queryset if highest is None else queryset.filter(**{f"{field}__lte": highest})

    def chips(self, parameters, membership=None) -> list[Chip]:
        lowest, highest = self.bounds(parameters)
        if lowest is not None and highest is not None:
            return [Chip(self.label, f"{lowest} to {highest}", self.keys)]
        if lowest is not None:
            return [Chip(self.label, f"from {lowest}", self.keys)]
        return [Chip(self.label, f"up to {highest}", self.keys)] if highest is not None else []


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)
