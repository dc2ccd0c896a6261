"""Consent of clients to a rise of a fee: who has answered, and recording it for them."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.consent import is_offered, may_agree, own_versions, read_answers, record_answers
from reporting.commission.versions import known_terms
from reporting.commission.wording import text_of
from reporting.forms import AnswerForm
from reporting.models import SubscriptionLifetime, TermsAnswer, TermsVersion
from reporting.views.history import render_list
from strategies.models import Strategy
from subscribers.models import Subscriber
from users.confirming import confirmed
from users.listing import Choice, Column, Listing, Option, Search
from users.once import once
from users.parsing import row_id
from users.permissions import can_manage, may_manage, staff_only
from users.requests import MemberRequest


def clients_listing(version: TermsVersion) -> Listing:
    """The clients that were asked, with what each answered."""
    own = TermsAnswer.objects.filter(version=version, subscriber_id=OuterRef("backend_id"))
    newest = own.order_by("-is_consent", "-pk")
    agreed, any_answer = Exists(own.filter(is_consent=True)), Exists(own)
    return Listing(
        name="consent",
        sort="name",
        columns=(
            Column("name", "Client", is_sortable=True, csv_name="subscriber"),
            Column("backend_id", csv_name="subscriber_id"),
            Column("is_consent", "Answer", source=Subquery(newest.values("is_consent")[:1]), csv_name="agreed"),
            Column("answered_at", "Recorded", source=Subquery(newest.values("answered_at")[:1])),
            Column("holds_from", "Pays from", source=Subquery(newest.values("holds_from")[:1])),
            Column("recorded_by", "By", source=Subquery(newest.values("recorded_by__email")[:1])),
            Column("note", "Note", source=Subquery(newest.values("note")[:1])),
            Column("address", source=Subquery(newest.values("address")[:1])),
            Column("digest", source=Subquery(newest.values("digest")[:1])),
        ),
        filters=(
            Search("q", "Search", placeholder="Search by name or id", fields=("name", "backend_id")),
            Choice(
                "answer",
                "Answer",
                placeholder="Any answer",
                options=(
                    Option("none", "None yet", ~Q(any_answer)),
                    Option("agreed", "Agreed", Q(agreed)),
                    Option("refused", "Refused", Q(any_answer) & ~Q(agreed)),
                ),
            ),
        ),
    )


def clients_asked(request: MemberRequest, version: TermsVersion) -> QuerySet:
    """Clients that copied the strategy when the terms were decided on, and still do."""
    lifetimes = SubscriptionLifetime.objects.filter(
        connection_id=version.connection_id, strategy_id=version.strategy_id, subscriber_id=OuterRef("backend_id")
    )
    accounts = Subscriber.objects.visible_to(request.membership)
    if version.subscriber_id:
        accounts = accounts.filter(backend_id=version.subscriber_id)
    return accounts.filter(
        Exists(lifetimes.filter(started_at__lte=version.seen_at)),
        Exists(lifetimes.filter(ended_at=None)),
        connection_id=version.connection_id,
    )


@require_safe
@staff_only
def terms_consent(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Who has agreed to the terms of a strategy."""
    return consent_page(request, asking_version(request, pk), AnswerForm())


def asking_version(request: MemberRequest, pk: int) -> TermsVersion:
    """Terms that wait for consent; else 404."""
    own = TermsVersion.objects.visible_to(request.membership).filter(asks_consent=True)
    return get_object_or_404(own.select_related("workspace"), pk=pk)


def consent_page(request: MemberRequest, version: TermsVersion, form: AnswerForm) -> HttpResponseBase:
    table = clients_listing(version).bind(request, clients_asked(request, version))
    if table.wants_csv:
        return table.csv()
    known = known_terms(versions_of(request, version))
    answers = read_answers(version.connection_id, [version.strategy_id])[version.strategy_id]
    asked = {client for client, own in answers.items() if may_agree(known, version, own)}
    key, now = (version.subject, version.subscriber_id), timezone.now()
    paid = {}
    for row in table.rows:
        own = own_versions(known, answers[row.backend_id])[key]
        begun = [own_version for since, own_version in own if since is None or since <= now]
        paid[row.backend_id] = text_of(begun[-1], {}) if begun else ""
    strategies = Strategy.objects.visible_to(request.membership).filter(connection_id=version.connection_id)
    context = {
        "version": version,
        "words": text_of(version, {}),
        "paid": paid,
        "form": form,
        "strategy": strategies.filter(backend_id=version.strategy_id).first(),
        "is_offered": is_offered(known, version),
        "asked": asked,
        "may_record": bool(asked) and can_manage(request.membership),
    }
    response = render_list(request, "reporting/terms_consent.html", "reporting/_consent.html", table, **context)
    response.status_code = 422 if form.errors else 200
    return response


def versions_of(request: MemberRequest, version: TermsVersion) -> QuerySet:
    """Every version of the strategy's terms."""
    return TermsVersion.objects.visible_to(request.membership).filter(
        connection_id=version.connection_id, strategy_id=version.strategy_id
    )


@require_POST
@may_manage
@confirmed
@once
def record_consent(request: MemberRequest, pk: int) -> HttpResponseBase:
    """Record what clients answered."""
    version = asking_version(request, pk)
    form = AnswerForm(request.POST)
    asked = clients_asked(request, version)
    chosen = asked.filter(pk__in=[row_id(value) or 0 for value in request.POST.getlist("subscriber")])
    if form.is_valid() and form.cleaned_data["is_everybody"]:
        answered = TermsAnswer.objects.filter(version=version, subscriber_id=OuterRef("backend_id"))
        chosen = asked.filter(~Exists(answered))
    known = known_terms(versions_of(request, version))
    answers = read_answers(version.connection_id, [version.strategy_id])[version.strategy_id]
    clients = chosen.values_list("backend_id", flat=True)
    ids = [client for client in clients if may_agree(known, version, answers[client])]
    if not is_offered(known, version):
        form.add_error(None, "These terms are not offered any more: newer ones were set.")
    elif form.is_valid() and not ids:
        form.add_error(None, "Tick the clients that answered, or say that it is everybody who has not answered.")
    if form.errors:
        return consent_page(request, version, form)
    is_consent = form.cleaned_data["answer"] == "agreed"
    now, note = timezone.now(), form.cleaned_data["note"]
    number = record_answers(version, ids, is_consent=is_consent, note=note, by=request.user, now=now)
    messages.success(request, recorded_words(number, version, is_consent=is_consent, now=now))
    return redirect("reporting:terms-consent", version.pk)


def recorded_words(number: int, version: TermsVersion, *, is_consent: bool, now: datetime) -> str:
    """What was recorded, and what follows from it."""
    is_single = number == 1
    clients = "1 client" if is_single else f"{number} clients"
    if not is_consent:
        return f"Recorded: {clients} refused and {'keeps' if is_single else 'keep'} the earlier terms."
    has_begun = version.valid_from is None or version.valid_from <= now
    since = "from now on" if has_begun else "as soon as they begin"
    return f"Recorded: {clients} agreed and {'pays' if is_single else 'pay'} by the new terms {since}."
