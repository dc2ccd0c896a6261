"""How values are written: money as decimal text, times in UTC, and rows of which a caller chooses the fields."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC
from decimal import Decimal
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


@extend_schema_field(
    {"type": "string", "format": "decimal", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["1250.5"]}
)
class DecimalText(serializers.Field):
    """A number as text, exactly and without zeros at its end: no reader turns it into a float by accident."""

    def __init__(self, **options: Any):
        super().__init__(read_only=True, **options)

    def to_representation(self, value: Decimal | float | int) -> str:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        text = format(number, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text in ("-0", "") else text


class MomentField(serializers.DateTimeField):
    """A time in UTC."""

    def __init__(self, **options: Any):
        super().__init__(read_only=True, default_timezone=UTC, **options)


class RowSerializer(serializers.Serializer):
    """A row of a list. reads: the columns it is made of, beside the id.

    only: the fields that were asked for; None: all.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    id = serializers.IntegerField(read_only=True)

    def __init__(self, *args: Any, only: Collection[str] | None = None, **options: Any):
        super().__init__(*args, **options)
        for name in [name for name in self.fields if only is not None and name not in only and name != "id"]:
            self.fields.pop(name)


def text(**options: Any) -> serializers.CharField:
    """A text that is read."""
    return serializers.CharField(read_only=True, **options)


def number(**options: Any) -> serializers.IntegerField:
    """A whole number, such as an id, that is read."""
    return serializers.IntegerField(read_only=True, **options)


def flag(**options: Any) -> serializers.BooleanField:
    """Yes or no, that is read."""
    return serializers.BooleanField(read_only=True, **options)


def day(**options: Any) -> serializers.DateField:
    """A day that is read."""
    return serializers.DateField(read_only=True, **options)
