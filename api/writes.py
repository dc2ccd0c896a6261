"""What addresses that change something have in common: their body, their key, dry runs, the version they start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec

from django.forms import Form
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from api.base import ApiView, Parameter
from api.models import ApiWrite
from api.once import Recover, Reply, Sort, answer_once
from api.problems import ApiProblem, escaped
from users.listing import BadParameter
from users.models import User

P = ParamSpec("P")
DRY_RUN = Parameter(
    "dry_run",
    "true: nothing is changed, and the answer says what would be: every setting, what happens at once, what it would"
    " have done to the signals of the last days. It needs no Idempotency-Key.",
    {"type": "string", "enum": ["true", "false"]},
)


class WriteView(ApiView):
    """An address with writes; handlers are marked with `write`."""

    claim: ApiWrite | None = None
    body: dict[str, Any]
    needs_version: ClassVar[Sequence[str]] = ()

    @property
    def actor(self) -> User | None:
        """Who is noted for what is done; None for a service, whose name the audit log has from the token."""
        return self.request.user if isinstance(self.request.user, User) else None

    @property
    def is_dry_run(self) -> bool:
        """Raises BadParameter."""
        text = self.request.query_params.get("dry_run", "false")
        if text not in ("true", "false"):
            raise BadParameter("“dry_run” is true or false.")
        return text == "true"

    def if_match(self) -> list[str]:
        """The versions that the caller has read. Raises ApiProblem where none is named."""
        header = self.request.headers.get("If-Match", "").strip()
        if not header:
            raise ApiProblem("if-match-needed")
        return [tag.strip() for tag in header.split(",")]


def errors_of_form(form: Form, **renamed: str) -> list[dict[str, str]]:
    """What the form of a page says is wrong, with the places in the body. renamed: names that differ there."""
    return [
        {"pointer": f"/{renamed.get(name, name)}" if name in form.fields else "", "detail": str(detail)}
        for name, details in form.errors.items()
        for detail in details
    ]


Handler = Callable[Concatenate[Any, P], Reply]


def write(sort: Sort, *, recover: Recover | None = None) -> Callable[[Handler[P]], Callable[..., Response]]:
    """Marks the handler of a write: it returns a `Reply` and may read `body`, which was checked.

    sort: how it ends when its process dies. A dry run is answered without a key, and must change nothing.
    """

    def decorate(handler: Handler[P]) -> Callable[..., Response]:
        @wraps(handler)
        def answer(view: WriteView, request: Request, **kwargs: Any) -> Response:
            context = {"workspace": view.workspace, "membership": view.membership}
            view.body = body_of(request, view.bodies.get(request.method or ""), context)
            if view.is_dry_run:
                reply = handler(view, request, **kwargs)
                return Response(reply.body, status=reply.status, headers=dict(reply.headers))

            def act(row: ApiWrite) -> Reply:
                view.claim = row
                return handler(view, request, **kwargs)

            return answer_once(request, request.data, act, sort=sort, recover=recover, now=timezone.now())

        answer.write_sort = sort  # type: ignore[attr-defined]  # looked for by the test of all writes
        return answer

    return decorate


def body_of(request: Request, serializer: type[Serializer] | None, context: dict[str, Any]) -> dict[str, Any]:
    """The body as its serializer reads it; a name that it does not know is refused, not overlooked."""
    sent = request.data
    if not isinstance(sent, dict):
        raise ApiProblem("invalid", errors=[{"pointer": "", "detail": "The body is an object."}])
    known = serializer._declared_fields if serializer else {}
    if unknown := sorted(set(sent) - set(known)):
        accepted = f"There are {', '.join(known)}." if known else "There are none."
        text = f"“{unknown[0][:60]}” is not a field here. {accepted}"
        raise ApiProblem("invalid", errors=[{"pointer": f"/{escaped(unknown[0])}", "detail": text}])
    if serializer is None:
        return {}
    form = serializer(data=sent, context=context)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)
