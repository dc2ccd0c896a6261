"""The OpenAPI description, made of the same declarations that the views answer by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from api.base import ApiView, OpenView
from api.problems import KINDS, MEDIA_TYPE, ProblemDetails

VERBS = {"GET": "get", "POST": "create", "PUT": "replace", "PATCH": "change", "DELETE": "remove"}
ALWAYS = (401, 403, 404, 429)
WRITES = (409, 412, 415, 422, 503, 504)
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]{0,198}[!-~])?$"}
SCOPE_WORDS = "The token has to be one that may change things (scope “write”)."
KEY_WORDS = "Another one for every request; the same request sent again with it is done once and answered the same."
VERSION_SCHEMA = {"type": "string", "maxLength": 200}
VERSION_WORDS = "The ETag of the settings that the change starts from."


class BearerScheme(OpenApiAuthenticationExtension):
    """How tokens are sent."""

    target_class = "api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token. People make them in the settings, under “Access tokens”.",
        }


class Schema(AutoSchema):
    """Describes an `ApiView` by its tag, noun, parameters and serializers."""

    view: ApiView

    def get_tags(self) -> list[str]:
        return [self.view.tag]

    def get_operation_id(self) -> str:
        if self.method in self.view.names:
            return self.view.names[self.method]
        verb = "list" if self.is_list else VERBS[self.method]
        return f"{verb}_{self.view.noun}"

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and getattr(self.view, "is_list", False)

    def get_summary(self) -> str:
        return self._words.partition("\n")[0].rstrip(".")

    def get_description(self) -> str:
        text = re.sub(r"\s*\n\s*", " ", self._words)
        text = "" if text.rstrip(".") == self.get_summary() else text
        return text if self.method == "GET" else f"{text} {SCOPE_WORDS}".strip()

    @property
    def _words(self) -> str:
        handler = getattr(self.view, self.method.lower())
        return (handler.__doc__ or type(self.view).__doc__ or "").strip()

    def get_override_parameters(self) -> list[Any]:
        parameters = [
            OpenApiParameter(
                parameter.name,
                dict(parameter.schema),
                OpenApiParameter.QUERY,
                description=parameter.description,
            )
            for parameter in self.view.parameters_of(self.method)
        ]
        return [*parameters, *self.headers()]

    def headers(self) -> list[OpenApiParameter]:
        """The headers of a write."""
        if self.method == "GET":
            return []
        is_required = not any(option.name == "dry_run" for option in self.view.parameters_of(self.method))
        key = OpenApiParameter(
            "Idempotency-Key", KEY_SCHEMA, OpenApiParameter.HEADER, description=KEY_WORDS, required=is_required
        )
        version = OpenApiParameter(
            "If-Match", VERSION_SCHEMA, OpenApiParameter.HEADER, description=VERSION_WORDS, required=True
        )
        return [key, version] if self.method in getattr(self.view, "needs_version", ()) else [key]

    def get_request_serializer(self) -> Any:
        return self.view.bodies.get(self.method)

    def get_response_serializers(self) -> Any:
        description = self.get_summary()
        answers: dict[Any, Any] = {
            (status, "application/json"): OpenApiResponse(self.view.answers[self.method], description=description)
            for status in self.view.statuses.get(self.method, (200,))
        }
        return answers | {(str(status), MEDIA_TYPE): problem_response(status) for status in self.problem_statuses()}

    def problem_statuses(self) -> list[int]:
        """How the address may refuse."""
        if isinstance(self.view, OpenView):
            return [400, 404] if "{" in self.path else [400]
        if self.method == "GET":
            return [400, *ALWAYS]
        return sorted(
            {400, *ALWAYS, *WRITES, *((412, 428) if self.method in getattr(self.view, "needs_version", ()) else ())}
        )


def problem_response(status: int) -> OpenApiResponse:
    """Problem details with this status."""
    titles = [kind.title for kind in KINDS.values() if kind.status == status]
    return OpenApiResponse(ProblemDetails, description=", or ".join(titles))


def description() -> Mapping[str, Any]:
    """The whole description; made once for a process."""
    global _description
    if _description is None:
        from drf_spectacular.generators import SchemaGenerator

        _description = cast(Mapping[str, Any], SchemaGenerator().get_schema(request=None, public=True))
    return _description


_description: Mapping[str, Any] | None = None
