"""A client's page of what they agree to: the firm's texts, and rises of fees, which wait for their answer."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from reporting.commission.asking import answer_question, questions_of
from subscribers.agreements import accept_texts, asked_of
from users.confirming import confirmed
from users.once import once
from users.parsing import row_id
from users.permissions import subscriber_only
from users.requests import MemberRequest

CHANGED = "Nothing was recorded: what you read was changed meanwhile. Read it again below."


@require_safe
@subscriber_only
def own_agreements(request: MemberRequest) -> HttpResponse:
    """What holds, and what waits for an answer."""
    context = {
        "asked": asked_of(request.membership),
        "questions": questions_of(request.membership, timezone.now()),
    }
    return render(request, "reporting/own_agreements.html", context)


@require_POST
@subscriber_only
@once
def accept_agreements(request: MemberRequest) -> HttpResponse:
    """Accept the texts that are ticked: each comes as its id and the digest of what was shown."""
    read = [value.partition("-") for value in request.POST.getlist("text")]
    ticked = [(row_id(pk) or 0, digest) for pk, _, digest in read]
    if not ticked:
        messages.warning(request, "Nothing was recorded: tick what you have read and accept.")
        return redirect("reporting:own-agreements")
    accepted = accept_texts(request.membership, ticked, now=timezone.now())
    if accepted is None:
        messages.error(request, CHANGED)
    else:
        names = ", ".join(str(acceptance.text) for acceptance in accepted)
        messages.success(request, f"Recorded: you accepted {names}.")
    return redirect("reporting:own-agreements")


@require_POST
@subscriber_only
@confirmed
@once
def answer_fee(request: MemberRequest) -> HttpResponse:
    """Agree to a rise of a fee, or refuse it and keep the earlier terms."""
    is_consent = request.POST.get("answer") == "agreed"
    if not is_consent and request.POST.get("answer") != "refused":
        messages.warning(request, "Nothing was recorded: say whether you agree.")
        return redirect("reporting:own-agreements")
    question = answer_question(
        request.membership,
        row_id(request.POST.get("version", "")) or 0,
        row_id(request.POST.get("account", "")) or 0,
        request.POST.get("digest", ""),
        is_consent=is_consent,
        now=timezone.now(),
    )
    if question is None:
        messages.error(request, CHANGED)
    elif is_consent:
        messages.success(request, f"Recorded: {question.sentence}")
    else:
        messages.success(request, f"Recorded: you keep what you pay for {question.strategy} so far.")
    return redirect("reporting:own-agreements")
