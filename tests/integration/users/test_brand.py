"""A firm's own colour and its mails: chosen by the owner, on its pages and invitations, and nobody else's."""

from __future__ import annotations

import pytest
from django.utils import timezone

from subscribers.access import invite
from users.models import Mail, Workspace
from users.sending import MailKind, queue_mail, send_due

pytestmark = pytest.mark.django_db
FORM = {"name": "Alpine", "timezone": "UTC", "reporting_currency": "USD", "accent": "own", "asks_consent": "on"}
SHEET = "/brand/0b5394.css"


def test_an_owner_chooses_a_colour_and_pages_have_it(alice, dora, charlie, sign_in, workspace):
    client = sign_in(alice)
    assert client.post("/settings/", {**FORM, "own_colour": "#0B5394"}).status_code == 302
    workspace.refresh_from_db()
    assert workspace.accent == "#0b5394"
    assert 'value="#0b5394"' in client.get("/settings/").content.decode()
    for person, has_it in ((alice, True), (dora, True), (charlie, False)):
        page = sign_in(person).get("/notifications/").content.decode()
        assert (SHEET in page) is has_it
    assert sign_in(alice).post("/settings/", {**FORM, "accent": "teal"}).status_code == 302
    assert Workspace.objects.get(pk=workspace.pk).accent == "teal"


@pytest.mark.parametrize(
    ("colour", "words"),
    [("#ffcc00", "1.51 to 1"), ("yellow", "six digits"), ("", "six digits"), ("#fff", "six digits")],
)
def test_a_colour_that_cannot_be_read_is_refused_with_the_figure(alice, sign_in, workspace, colour, words):
    answer = sign_in(alice).post("/settings/", {**FORM, "own_colour": colour})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Workspace.objects.get(pk=workspace.pk).accent == "blue"


def test_a_colour_that_was_typed_and_not_chosen_is_not_lost_in_silence(alice, sign_in, workspace):
    client = sign_in(alice)
    answer = client.post("/settings/", {**FORM, "accent": "teal", "own_colour": "#0b5394"})
    assert (answer.status_code, Workspace.objects.get(pk=workspace.pk).accent) == (422, "blue")
    assert "above to use this one" in answer.content.decode()
    client.post("/settings/", {**FORM, "own_colour": "#0b5394"})
    assert client.post("/settings/", {**FORM, "accent": "teal", "own_colour": "#0b5394"}).status_code == 302
    assert Workspace.objects.get(pk=workspace.pk).accent == "teal"


def test_the_style_sheet_is_kept_and_asked_for_again_with_its_tag(client):
    answer = client.get(SHEET)
    assert answer["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in answer["Cache-Control"]
    assert client.get(SHEET, headers={"If-None-Match": answer["ETag"]}).status_code == 304
    for wrong in ("ffcc00", "0b539", "0B5394", "red", "0b5394;}"):
        assert client.get(f"/brand/{wrong}.css").status_code == 404


def test_an_invitation_has_the_colours_and_the_name_of_the_firm(alice, workspace, client):
    Workspace.objects.update(accent="#0b5394", name="Alpine Capital")
    workspace.refresh_from_db()
    invited = invite(workspace, email="erin@example.com", role="viewer", by=alice, now=timezone.now())
    page = client.get(f"/invitation/{invited.token}/", follow=True).content.decode()
    assert SHEET in page
    assert "· Alpine Capital</title>" in page


def test_mails_come_from_the_firm_and_end_with_its_words(alice, workspace, sign_in, mailoutbox):
    Workspace.objects.update(mail_sender="Alpine Desk", mail_footer="Alpine Ltd, Bern")
    workspace.refresh_from_db()
    kind = MailKind("test", "A test")
    queue_mail(workspace, kind=kind, recipient="a@example.com", subject="One", text="Hello.\n", now=timezone.now())
    assert Mail.objects.get().text == "Hello.\n\n-- \nAlpine Ltd, Bern\n"
    Mail.objects.update(kind="notice-off")
    send_due()
    body = {"email": "erin@example.com", "role": "viewer"}
    assert sign_in(alice).post("/settings/members/invite/", body).status_code == 201
    first, second = mailoutbox
    assert first.from_email.startswith("Alpine Desk <")
    assert second.from_email.startswith("Alpine Desk <")
    assert second.body.endswith("-- \nAlpine Ltd, Bern\n")


def test_without_words_of_the_firm_mails_are_as_they_were(workspace):
    queue_mail(
        workspace, kind=MailKind("t", "T"), recipient="a@example.com", subject="S", text="T\n", now=timezone.now()
    )
    mail = Mail.objects.get()
    assert (mail.text, mail.sender_name) == ("T\n", workspace.name)


def test_a_sender_of_two_lines_is_refused(alice, sign_in):
    answer = sign_in(alice).post("/settings/", {**FORM, "accent": "blue", "mail_sender": "Alpine\u0007Desk"})
    assert answer.status_code == 422
