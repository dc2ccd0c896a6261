"""What the API answers when it does not do what was asked: problem details (RFC 9457), one kind per cause.

The `type` of a problem is the address of a page that explains it. Details are sentences for the person who reads the
log of the calling program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from users.listing import BadParameter

MEDIA_TYPE = "application/problem+json"
ROOT = "/api/"
PROBLEMS = f"{ROOT}v1/problems/"


@dataclass(frozen=True)
class ProblemKind:
    """A cause. meaning: what happened and what to do, for the page of the kind and where nothing says it better."""

    code: str
    status: int
    title: str
    meaning: str


KINDS = {
    kind.code: kind
    for kind in (
        ProblemKind("bad-request", 400, "The request cannot be read", "The body or the address is not well formed."),
        ProblemKind(
            "bad-parameter",
            400,
            "A parameter makes no sense",
            "A parameter of the address is unknown, or its value is not accepted: the detail says which.",
        ),
        ProblemKind(
            "unauthenticated",
            401,
            "A token is needed",
            "Send an access token in the header “Authorization: Bearer cpt_…”. People make them in the settings.",
        ),
        ProblemKind(
            "forbidden",
            403,
            "The role does not allow this",
            "Nothing was changed. The owner of the workspace can.",
        ),
        ProblemKind(
            "read-only-token",
            403,
            "The token may only read",
            "Nothing was changed. Make a token that may change things in the settings, under “Access tokens”.",
        ),
        ProblemKind(
            "not-found",
            404,
            "Nothing here",
            "There is no such thing in the workspace of the token. Addresses end with a slash.",
        ),
        ProblemKind(
            "method-not-allowed",
            405,
            "The address does not take this method",
            "The header “Allow” of the answer names the methods that it takes.",
        ),
        ProblemKind(
            "still-running",
            409,
            "The same request is being carried out",
            "A request with this Idempotency-Key is not answered yet. Send it again later; it is done once.",
        ),
        ProblemKind(
            "not-carried-out",
            409,
            "It was not carried out",
            "Nothing was changed, or somebody else changed the same meanwhile. Read what there is now.",
        ),
        ProblemKind(
            "busy",
            409,
            "Another change of the same is not confirmed yet",
            "Nothing was sent. It is settled within two minutes; send the request again then.",
        ),
        ProblemKind(
            "changed-meanwhile",
            412,
            "It is another one now",
            "Nothing was changed: it differs from what “If-Match” names. Read it again, then change what it is now.",
        ),
        ProblemKind("unsupported-media-type", 415, "Not JSON", "Send a body as application/json."),
        ProblemKind(
            "invalid",
            422,
            "The body is not accepted",
            "Nothing was changed. The list “errors” says what is wrong, each with the place in the body.",
        ),
        ProblemKind(
            "refused",
            422,
            "It is refused",
            "Nothing was changed. The detail says why; “errors” says where, if a part of the body is at fault.",
        ),
        ProblemKind(
            "confirmation-needed",
            422,
            "It has to be confirmed",
            "Nothing was changed. Saving acts on positions at once: “review” says how. Send “confirm” as it says.",
        ),
        ProblemKind(
            "idempotency-key-needed",
            400,
            "An Idempotency-Key is needed",
            "Nothing was changed. Send the header “Idempotency-Key”: 1 to 200 characters that no other request has.",
        ),
        ProblemKind(
            "idempotency-key-reused",
            422,
            "The Idempotency-Key belongs to another request",
            "Nothing was changed. Within 24 hours a key stands for one request: send this one with a key of its own.",
        ),
        ProblemKind(
            "if-match-needed",
            428,
            "The version that is changed is needed",
            "Nothing was changed. Read it, and send the “ETag” of that answer in the header “If-Match”.",
        ),
        ProblemKind(
            "too-many-requests",
            429,
            "Too many requests",
            "Wait as long as the header “Retry-After” says, in seconds.",
        ),
        ProblemKind(
            "server-error",
            500,
            "Something broke",
            "How far the request came is not known. Look at what there is before you send it again.",
        ),
        ProblemKind(
            "backend-unavailable",
            503,
            "The copying backend cannot be reached",
            "Nothing was changed. Send the same request again later.",
        ),
        ProblemKind(
            "outcome-unknown",
            504,
            "It is not known whether it was carried out",
            "It was sent and the answer was lost. Look at what there is before you send it again with another key.",
        ),
    )
}


class ApiProblem(Exception):
    """Raised by views. errors: what is wrong in the body, each with a JSON pointer and a detail."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ):
        super().__init__(code)
        self.kind, self.detail, self.errors, self.headers, self.more = KINDS[code], detail, errors, headers or {}, more

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later: nothing was done, and nothing in it is at fault."""
        return self.kind.status in (429, 503) or self.kind.code in ("busy", "still-running", "server-error")


def body_of(problem: ApiProblem) -> dict[str, Any]:
    """The problem as it is sent."""
    kind = problem.kind
    body = {
        "type": f"{PROBLEMS}{kind.code}/",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail or kind.meaning,
        **problem.more,
    }
    return body | ({"errors": [dict(error) for error in problem.errors]} if problem.errors else {})


def problem_of(error: Exception) -> ApiProblem | None:
    """What an error of a view means to the caller; None: it is a surprise."""
    match error:
        case ApiProblem():
            return error
        case BadParameter():
            return ApiProblem("bad-parameter", error.text)
        case Http404() | exceptions.NotFound():
            return ApiProblem("not-found")
        case PermissionDenied() | exceptions.PermissionDenied():
            return ApiProblem("forbidden")
        case exceptions.NotAuthenticated():
            return ApiProblem("unauthenticated")
        case exceptions.AuthenticationFailed():
            return ApiProblem("unauthenticated", str(error.detail))
        case exceptions.MethodNotAllowed():
            return ApiProblem("method-not-allowed")
        case exceptions.UnsupportedMediaType():
            return ApiProblem("unsupported-media-type")
        case exceptions.Throttled():
            return ApiProblem("too-many-requests", headers={"Retry-After": str(max(1, round(error.wait or 1)))})
        case exceptions.ValidationError():
            return ApiProblem("invalid", errors=list(errors_of(error.detail)))
        case exceptions.ParseError() | BadRequest() | SuspiciousOperation():
            return ApiProblem("bad-request")
    return None


def errors_of(detail: Any, pointer: str = "") -> Sequence[Mapping[str, str]]:
    """A serializer's errors as a flat list, each with the place it is about."""
    if isinstance(detail, Mapping):
        places = ((f"{pointer}/{escaped(str(name))}", inner) for name, inner in detail.items())
        return [
            error
            for place, inner in places
            for error in errors_of(inner, pointer if place == f"{pointer}/non_field_errors" else place)
        ]
    if isinstance(detail, list):
        if all(isinstance(inner, str) for inner in detail):
            return [{"pointer": pointer, "detail": str(text)} for text in detail]
        return [error for index, inner in enumerate(detail) for error in errors_of(inner, f"{pointer}/{index}")]
    return [{"pointer": pointer, "detail": str(detail)}]


def escaped(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's handler of errors; None: it is raised on, and answered by `answer_page`."""
    problem = problem_of(error)
    if problem is None:
        return None
    headers = dict(problem.headers)
    if challenge := getattr(error, "auth_header", ""):
        headers["WWW-Authenticate"] = challenge
    return Response(body_of(problem), status=problem.kind.status, headers=headers, content_type=MEDIA_TYPE)


def is_api(request: HttpRequest) -> bool:
    """Whether a program asks: it gets no page."""
    return request.path.startswith(ROOT)


def answer_page(status: int, text: str, **more: Any) -> JsonResponse:
    """What the portal would answer with a page, where the middleware or the address was at fault."""
    code = next((code for code, kind in KINDS.items() if kind.status == status), "server-error")
    response = JsonResponse(body_of(ApiProblem(code, text, **more)), status=status, content_type=MEDIA_TYPE)
    response["Cache-Control"] = "no-store"
    return response


class ProblemError(serializers.Serializer):
    """One thing that is wrong in a body."""

    pointer = serializers.CharField(help_text="Where in the body, as a JSON pointer; empty: the body as a whole.")
    detail = serializers.CharField()


class ProblemDetails(serializers.Serializer):
    """Problem details, RFC 9457."""

    type = serializers.CharField(help_text="Address of the page that explains this kind of problem.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = ProblemError(many=True, required=False)
