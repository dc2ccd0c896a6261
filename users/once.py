"""One form, one act: what moves positions or money happens once, however often its form arrives.

Each such form carries a token. The first post claims it in the database and acts; any other, at the same moment, after
the back button, a reload or a lost answer, is told what the first one did. A claim whose form came back with a problem
is given up, so that the corrected form can be sent.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from users.models import FormPost
from users.requests import MemberRequest
from users.unsent import page_of

FIELD = "once"
KEPT = timedelta(days=14)  # longer than any form stays open: a session ends before
WAIT_S = 8.0  # for the first of two posts at the same moment
LOOK_EVERY_S = 0.1
AGAIN = "This form was sent before and is not done again. What came of it then:"
UNKNOWN = (
    "This form was sent before. Nothing was done now, and it is not known yet what became of it then:"
    " look at what there is before you send it anew."
)

INCOMPLETE = (
    "Nothing was done: the form came without the number that keeps it from being done twice."
    " It stands on the page anew; send it from there."
)


def new_token() -> str:
    """A token for a form that is shown."""
    return uuid.uuid4().hex


def token_of(request: MemberRequest) -> str:
    """The token for a form of this answer: a form that comes back with a problem keeps the one it was sent with."""
    sent = request.POST.get(FIELD, "") if request.method == "POST" else ""
    return sent[:64] or new_token()


def once(view: Callable) -> Callable:
    """Do what a posted form asks once; it goes inside the decorators that check who may.

    Done is what the view answers with a redirect; its messages are told to whoever sends the form again.
    """

    @wraps(view)
    def guarded(request: MemberRequest, *args, **kwargs) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        if not request.POST.get(FIELD):
            messages.error(request, INCOMPLETE)
            return redirect(page_of(request) or "/")
        claim, is_first = _claim(request)
        if not is_first:
            return _told_again(request, claim)
        response = view(request, *args, **kwargs)  # an error leaves the claim: nobody knows how far it came
        if response.status_code in (301, 302, 303):
            texts = [{"level": message.level, "text": str(message.message)} for message in _said(request)]
            FormPost.objects.filter(pk=claim.pk).update(answer=texts, address=response["Location"][:500])
        else:
            claim.delete()
        return response

    guarded.acts_once = True  # type: ignore[attr-defined]  # looked for by a test of all forms
    return guarded


def _claim(request: MemberRequest) -> tuple[FormPost, bool]:
    """The claim of this form, and whether it is ours."""
    now = timezone.now()
    FormPost.objects.filter(workspace=request.workspace, posted_at__lt=now - KEPT).delete()
    token = request.POST[FIELD][:64]
    key = hashlib.sha256(f"{request.user.pk}\n{request.path}\n{token}".encode()).hexdigest()
    defaults = {"workspace": request.workspace, "user": request.user, "posted_at": now}
    return FormPost.objects.get_or_create(key=key, defaults=defaults)


def _told_again(request: MemberRequest, claim: FormPost) -> HttpResponse:
    """What the first post did; it may still be doing it."""
    stop_at = time.monotonic() + WAIT_S
    while claim.answer is None and time.monotonic() < stop_at:
        time.sleep(LOOK_EVERY_S)
        claim = FormPost.objects.filter(pk=claim.pk).first() or FormPost()
        if claim.pk is None:  # the first one came back with a problem: nothing was done
            break
    if claim.answer is None:
        messages.warning(request, UNKNOWN)
    else:
        messages.info(request, " ".join([AGAIN, *(text["text"] for text in claim.answer)]))
    return redirect(claim.address or request.headers.get("Referer") or "/")


def _said(request: MemberRequest) -> list:
    """The messages that this request added."""
    return list(getattr(messages.get_messages(request), "_queued_messages", []))
