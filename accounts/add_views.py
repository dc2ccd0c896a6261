"""Adding a trading account: by login and password, by a link for the client, or a paper account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from accounts.acts import ask_for
from accounts.adding import RequestOutcome, add_account, credentials_digest, has_failed_often, refused_before
from accounts.choices import FLAGS, account_choices, chosen_account
from accounts.forms import ByLinkForm, ByLoginForm, NewAccountForm, PaperForm
from accounts.links import make_link
from accounts.models import AccountRequest, RequestState
from accounts.offers import refusals_of
from accounts.pages import own_connections
from accounts.servers import PAPER, servers_like
from editing.backend import PATIENCE, NotDone
from users import throttle
from users.confirming import confirmed
from users.models import Connection
from users.once import FIELD, new_token
from users.parsing import row_id
from users.permissions import may_manage
from users.requests import MemberRequest

WAYS = {
    "login": ("Login and password", ByLoginForm),
    "link": ("Link for the client", ByLinkForm),
    "paper": ("Paper account", PaperForm),
}
PER_HOUR = 60  # requests of one person; those of a login that is being checked count too
SEARCHES_PER_MINUTE = 90
ASKED = "asked"
STATUS = {RequestState.CHECKING: 202, RequestState.UNKNOWN: 503, RequestState.NOT_SENT: 503}
TOO_OFTEN = "Not sent: you have asked for accounts very often within an hour. Wait a while, then send it again."
FAILED_OFTEN = (
    "Not sent: brokers refused several logins of yours within the hour, and each failed attempt may be charged. "
    "Make sure of login, password and server, and try again in an hour."
)
ASK_AGAIN_AFTER_S = (2, 60)


def usable_connections(request: MemberRequest, way: str) -> list[Connection]:
    """Connections that offer accounts; for paper accounts, those whose accounts are simulated."""
    connections = own_connections(request)
    refused = refusals_of(connections)
    offered = [connection for connection in connections if connection.pk not in refused]
    return [connection for connection in offered if connection.market_is_simulated] if way == "paper" else offered


def bound_form(request: MemberRequest, way: str, connections: list[Connection]) -> NewAccountForm:
    """The form of a way, with what was posted."""
    data = request.POST if request.method == "POST" else None
    if way != "paper":
        return WAYS[way][1](data, connections=connections)
    wanted = row_id(request.POST.get("connection", ""))
    connection = next((own for own in connections if own.pk == wanted), connections[0] if connections else None)
    servers = servers_like(connection, "mt5", PAPER) if connection else []
    return PaperForm(data, connections=connections, servers=servers)


@require_http_methods(["GET", "POST"])
@may_manage
@confirmed
def new(request: MemberRequest) -> HttpResponse:
    """The form of one way of adding an account, and what becomes of it."""
    connections = usable_connections(request, "login")
    ways = [way for way in WAYS if way != "paper" or usable_connections(request, "paper")]
    way = request.GET.get("way") or ways[-1 if connections and len(ways) == len(WAYS) else 0]
    if way not in ways:
        raise Http404
    form = bound_form(request, way, usable_connections(request, way))
    page: dict[str, Any] = {"way": way, "ways": {key: WAYS[key][0] for key in ways}, "form": form}
    if request.method != "POST":
        return show(request, page, form, new_token())
    token = request.POST.get(FIELD, "")[:64] or new_token()
    if not form.is_valid():
        return show(request, page, form, token, status=422)
    if problem := problem_before(request, form):
        if problem != ASKED:
            form.add_error(None, problem)
        return show(request, page, form, token, status=422)
    return answer(request, page, form, token, send(request, form, token))


def problem_before(request: MemberRequest, form: NewAccountForm) -> str:
    """Why nothing is sent, before any work; ASKED: the form shows a question; "": go on."""
    now, password = timezone.now(), form.cleaned_data.get("password", "")
    if not throttle.may_act("add-account", str(request.user.pk), limit=PER_HOUR, window_s=3600, now=now):
        return TOO_OFTEN
    if password and has_failed_often(form.chosen, request.user, now=now):
        return FAILED_OFTEN
    if isinstance(form, ByLoginForm) and not form.cleaned_data["try_anyway"]:
        before = refused_before(form.chosen, credentials_digest(form.values, password), now=now)
        if before is not None:
            form.ask_again(
                f"The broker refused exactly this at {before:%H:%M} UTC. Another failed attempt may be charged: change "
                "something, or tick this to try all the same."
            )
            return ASKED
    return ""


def send(request: MemberRequest, form: NewAccountForm, token: str) -> RequestOutcome:
    """Ask the backend."""
    connection = Connection.objects.get(pk=form.chosen.pk)
    try:
        with connection.client(**{**PATIENCE, "wait_budget_s": 0}) as client:
            return add_account(
                connection,
                values=form.values,
                password=form.cleaned_data.get("password", ""),
                token=token,
                by=request.user,
                client=client,
                now=timezone.now(),
            )
    except NotDone as error:
        return RequestOutcome(RequestState.NOT_SENT, error.text)


def answer(
    request: MemberRequest, page: dict[str, Any], form: NewAccountForm, token: str, outcome: RequestOutcome
) -> HttpResponse:
    """The page after an answer of the backend: the account, its link, or the form with what there is to do."""
    if outcome.account is not None:
        return answer_added(request, page["way"], outcome)
    if not outcome.is_open:
        token = new_token()  # with the present one the backend would answer as it did
        mark_problems(form, outcome)
        return show(request, page, form, token, status=422, servers=outcome.servers, slots=outcome.slots)
    page["progress"], page["again_in_s"] = outcome.text, seconds_until(outcome)
    if request.partial and outcome.state == RequestState.CHECKING:
        # only the line below the form is replaced: the password stands in the person's own page until it is answered
        part = render(request, "accounts/_progress.html", page, status=202)
        part["HX-Retarget"], part["HX-Reswap"] = "#account-progress", "outerHTML"
        return part
    return show(request, page, form, token, status=422 if request.partial else STATUS[RequestState(outcome.state)])


def seconds_until(outcome: RequestOutcome) -> int:
    """When a page asks again by itself; 0: it does not."""
    if outcome.state != RequestState.CHECKING or outcome.retry_at is None:
        return 0
    least, most = ASK_AGAIN_AFTER_S
    left = outcome.retry_at - timezone.now()
    return max(least, min(most, round(left / timedelta(seconds=1))))


def mark_problems(form: NewAccountForm, outcome: RequestOutcome) -> None:
    """Put what the backend says is wrong to the field that it is about."""
    names = {"copyFactoryRoles": "role", "resourceSlots": "slots"}
    marked = False
    for detail in outcome.details:
        name = str(detail.get("parameter", ""))
        name = names.get(name, name)
        if name in form.fields:
            form.add_error(name, f"The backend says: it {str(detail.get('message', 'is not valid'))[:300]}.")
            marked = True
    if not marked:
        form.add_error("server" if outcome.servers else None, outcome.text)


def answer_added(request: MemberRequest, way: str, outcome: RequestOutcome) -> HttpResponse:
    """The account's page; a new link is shown once, where it was made."""
    account = outcome.account
    assert account is not None
    address = reverse("accounts:detail", args=[account.pk])
    if outcome.is_repeated:
        messages.info(request, f"{account} was added already by this form.")
    elif way == "link":
        try:
            return make_link(request, account, is_new=True)
        except NotDone as error:
            messages.warning(request, f"{account} was added, but its link was not made: {error.text}")
    else:
        ask_for("follow", account, request.membership, now=timezone.now())
        messages.success(
            request, f"{account} was added. It takes a minute until it is connected; you can leave this page."
        )
    if request.partial:
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)


def show(
    request: MemberRequest, page: dict[str, Any], form: NewAccountForm, token: str, *, status: int = 200, **more: Any
) -> HttpResponse:
    """The page of the form."""
    open_requests = AccountRequest.objects.visible_to(request.membership).filter(
        state__in=(RequestState.CHECKING, RequestState.UNKNOWN, RequestState.SENT),
        asked_at__gt=timezone.now() - timedelta(hours=24),
    )
    context = {
        "progress": "",
        "again_in_s": 0,
        "servers": {},
        "slots": None,
        **page,
        **more,
        "token": token,
        "connections": own_connections(request),
        "open_requests": list(open_requests.select_related("connection", "asked_by").order_by("-asked_at")[:10]),
        "is_simulated": all(own.market_is_simulated for own in form.connections.values()),
    }
    return render(request, "accounts/_new.html" if request.partial else "accounts/new.html", context, status=status)


@require_safe
@may_manage
def servers(request: MemberRequest) -> HttpResponse:
    """Names of broker servers for the field that somebody types into, as its list of suggestions."""
    wanted = row_id(request.GET.get("connection", ""))
    connection = next((own for own in own_connections(request) if own.pk == wanted), None)
    if connection is None:
        raise Http404
    now, names = timezone.now(), []
    if throttle.may_act("servers", str(request.user.pk), limit=SEARCHES_PER_MINUTE, window_s=60, now=now):
        names = servers_like(connection, request.GET.get("platform", ""), request.GET.get("server", ""))
    return render(request, "accounts/_servers.html", {"names": names})


@require_safe
@may_manage
def choices(request: MemberRequest) -> HttpResponse:
    """Accounts that fit what somebody types into the field of a form: its suggestions, and the one that is chosen."""
    # the connection that the form names goes before the one that it was opened with
    wanted, role = row_id(request.GET.get("connection") or request.GET.get("of", "")), request.GET.get("role", "")
    connection = next((own for own in own_connections(request) if own.pk == wanted), None)
    if connection is None or role not in FLAGS:
        raise Http404
    query = request.GET.get("account", "") or request.GET.get("accountId", "")
    label, problem = chosen_account(connection, role, query)
    # an id that is complete needs no suggestions of other accounts
    rows = [] if label else account_choices(connection, role, query)
    return render(request, "accounts/_choices.html", {"choices": rows, "label": label, "problem": problem})
