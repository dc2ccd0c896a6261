"""What every address of the API has in common: guards per method, JSON, problems, nothing that is kept by caches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from api.limits import Quota, count_request, count_write
from api.problems import ApiProblem
from users.listing import BadParameter
from users.models import Membership, Workspace

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]
OPEN = ("get", "head")
METHODS = ("get", "head", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query. schema: as in JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any]


class ApiView(APIView):
    """An address. guards: for each method that it takes, who may call it (users/permissions.py).

    tag: the chapter of the documentation; noun: what it is about, which names its operations. bodies, statuses,
    options, names: by method, what is sent, what success answers, the parameters of a write, another operation id.
    """

    guards: ClassVar[Mapping[str, Guard]] = {}
    tag: ClassVar[str]
    noun: ClassVar[str]
    answers: ClassVar[Mapping[str, type[Serializer]]] = {}
    parameters: ClassVar[Sequence[Parameter]] = ()
    bodies: ClassVar[Mapping[str, type[Serializer]]] = {}
    statuses: ClassVar[Mapping[str, Sequence[int]]] = {}
    options: ClassVar[Mapping[str, Sequence[Parameter]]] = {}
    names: ClassVar[Mapping[str, str]] = {}
    http_method_names = list(METHODS)
    quota: Quota | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, look at the scope and the parameters, then ask the guard: 404, 403 or on."""
        hide_session(request._request)
        super().initial(request, *args, **kwargs)
        guard = self.guards.get("GET" if request.method == "HEAD" else request.method or "")
        if guard is None:
            raise MethodNotAllowed(request.method)
        guard(_pass)(request)
        if request.method not in SAFE_METHODS:
            self.count_write(request)
        self.check_parameters(request)

    def check_permissions(self, request: Request) -> None:
        """Count first: a token that may not do what it asks for must not ask without end either."""
        self.count(request)
        super().check_permissions(request)

    def count(self, request: Request) -> None:
        """Count the request for its token. Raises ApiProblem where the minute is used up."""
        if request.auth is None:
            return
        self.quota = count_request(request.auth.pk, timezone.now())
        if self.quota.is_exceeded:
            raise ApiProblem("too-many-requests", headers={"Retry-After": str(self.quota.ends_in_s)})

    def count_write(self, request: Request) -> None:
        """Count a write for its token, beside the requests. Raises ApiProblem where the minute is used up."""
        if request.auth is None or self.quota is None:
            return
        self.quota = count_write(request.auth.pk, timezone.now(), self.quota)
        if self.quota.is_exceeded:
            raise ApiProblem("too-many-requests", headers={"Retry-After": str(self.quota.ends_in_s)})

    def check_parameters(self, request: Request) -> None:
        """A misspelt filter must not answer everything. Raises BadParameter."""
        known = {parameter.name for parameter in self.parameters_of(request.method or "")}
        for name in request.query_params:
            if name not in known:
                accepted = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
                raise BadParameter(f"“{name[:60]}” is not a parameter of this address: {accepted}.")

    def parameters_of(self, method: str) -> Sequence[Parameter]:
        """What the query may name."""
        return self.parameters if method in ("GET", "HEAD") else self.options.get(method, ())

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in (self.quota.headers if self.quota else {}).items():
            response[name] = value
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        return response

    # --- For views ----------------------------------------------------------------------------------------------------
    @property
    def membership(self) -> Membership:
        """Of the token."""
        return self.request._request.membership

    @property
    def workspace(self) -> Workspace:
        """Of the token."""
        return self.request._request.workspace


class OpenView(ApiView):
    """An address that needs no token, because nothing of any workspace is behind it."""

    authentication_classes = ()
    permission_classes = ()
    guards: ClassVar[Mapping[str, Guard]] = {"GET": lambda view: view}


def hide_session(request: HttpRequest) -> None:
    """What the middleware learnt from a cookie is nobody's business here."""
    for name in ("membership", "workspace"):
        setattr(request, name, None)


def _pass(request: Request) -> HttpResponse:
    return HttpResponse()


TEXT: Mapping[str, Any] = {"type": "string", "maxLength": 100}
NUMBER: Mapping[str, Any] = {"type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,8})?$"}
DAY: Mapping[str, Any] = {"type": "string", "format": "date"}
