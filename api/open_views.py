"""What needs no token: the index, the description, what a problem means, and that there is nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import Http404
from django.urls import URLPattern, get_resolver
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.base import METHODS, OpenView
from api.fields import number, text
from api.problems import KINDS, ApiProblem
from api.schema import description

OPENAPI = "application/vnd.oai.openapi+json"


class IndexRow(serializers.Serializer):
    """Where the lists are."""

    addresses = serializers.SerializerMethodField()

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "format": "uri"}})
    def get_addresses(self, row: Any) -> dict[str, str]:
        return row


class ProblemRow(serializers.Serializer):
    """A kind of problem."""

    code = text()
    status = number()
    title = text()
    meaning = text(help_text="What happened, and what to do.")


class Index(OpenView):
    """The addresses of what there is."""

    tag, noun = "About", "index"
    answers: ClassVar = {"GET": IndexRow}

    def get(self, request: Request) -> Response:
        patterns = [entry for entry in get_resolver("api.urls").url_patterns if isinstance(entry, URLPattern)]
        plain = {entry.name: str(entry.pattern) for entry in patterns if entry.name and "<" not in str(entry.pattern)}
        addresses = {name: request.build_absolute_uri(f"/api/v1/{route}") for name, route in plain.items()}
        return Response({"addresses": addresses})


class Description(OpenView):
    """The description of the API (OpenAPI 3.1), for people, generators of clients, and tests."""

    tag, noun = "About", "schema"

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        response = Response(description(), content_type=OPENAPI)
        response["Cache-Control"] = "public, max-age=300"
        return response


class ProblemPage(OpenView):
    """What a kind of problem means: where the type of problem details leads to."""

    tag, noun = "About", "problem"
    answers: ClassVar = {"GET": ProblemRow}

    def get(self, request: Request, code: str) -> Response:
        if code not in KINDS:
            raise Http404
        return Response(ProblemRow(KINDS[code]).data)


class Nothing(OpenView):
    """Any other address, whatever the method."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise ApiProblem("not-found")


for method in METHODS:
    setattr(Nothing, method, lambda self, request, **kwargs: None)
