"""The page that invites many clients from a CSV."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from subscribers.client_files import MOST_BYTES, invite_clients, read_clients
from users import mails
from users.confirming import confirmed
from users.links import link_for
from users.members import Invited
from users.models import Invitation
from users.permissions import may_manage
from users.requests import MemberRequest
from users.table_files import BadRow, BadRows


class ClientFileForm(forms.Form):
    """A file, or the same text typed in."""

    file = forms.FileField(label="CSV file", required=False, widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}))
    text = forms.CharField(
        label="Or the text itself",
        required=False,
        strip=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 6, "placeholder": "email;name;accounts"}),
    )

    def content(self) -> bytes:
        """What was sent."""
        file = self.cleaned_data.get("file")
        return file.read(MOST_BYTES + 1) if file else self.cleaned_data["text"].encode()


@dataclass(frozen=True)
class InvitedClient:
    """One line of the answer. is_mailed: the mail server took the mail."""

    invitation: Invitation
    link: str
    is_mailed: bool


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@may_manage
@confirmed
def invite_clients_page(request: MemberRequest) -> HttpResponse:
    """Take the file; the answer shows every link, once, or every row that is wrong."""
    form = ClientFileForm(request.POST or None, request.FILES or None)
    bad: list[BadRow] = []
    if request.method == "POST" and form.is_valid():
        try:
            rows = read_clients(form.content())
            invited = invite_clients(request.workspace, rows, by=request.user, now=timezone.now())
        except BadRows as error:
            bad = error.rows
        else:
            context = {"clients": mailed(request, invited), "may_mail": settings.MAIL_IS_SET_UP}
            return render(request, "people/invited_clients.html", context, status=201)
    context = {"form": form, "bad": bad}
    return render(request, "people/invite_clients.html", context, status=422 if bad or form.errors else 200)


def mailed(request: MemberRequest, invited: list[Invited]) -> list[InvitedClient]:
    """Mail every link if there is a mail server; after the first mail that it does not take it is not asked again."""
    clients, works = [], settings.MAIL_IS_SET_UP
    for outcome in invited:
        link = link_for(request, reverse("people:invitation", args=[outcome.token]))
        works = works and mails.invite_by_mail(outcome.invitation, link, inviter=str(request.user))
        clients.append(InvitedClient(outcome.invitation, link, works))
    return clients
