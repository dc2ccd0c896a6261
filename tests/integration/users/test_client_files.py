"""A CSV of clients to invite: every bad row is named, and then nobody is invited."""

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile

from subscribers.client_files import MOST_ROWS, read_clients
from tests import builders
from users.models import Invitation, Membership
from users.table_files import BadRows

PATH = "/settings/members/invite/clients/"


@pytest.fixture
def account(workspace):
    return builders.subscriber(builders.connection(workspace), backend_id="acc-1", name="Eve's account")


def bad_lines(text: str) -> list[tuple[int, str]]:
    with pytest.raises(BadRows) as caught:
        read_clients(text.encode())
    return [(row.line, row.text) for row in caught.value.rows]


def test_all_of_a_file_are_invited_with_their_accounts(sign_in, alice, account):
    text = f"\ufeffEmail;Name;Accounts\r\nEve@Example.com;Eve;{account.backend_id}\r\n\r\nfred@example.com;;\r\n"
    page = sign_in(alice).post(PATH, {"file": SimpleUploadedFile("clients.csv", text.encode())})
    assert page.status_code == 201
    invitations = Invitation.objects.order_by("email")
    assert [(one.email, one.name, one.role) for one in invitations] == [
        ("eve@example.com", "Eve", "subscriber"),
        ("fred@example.com", "", "subscriber"),
    ]
    assert [access.subscriber for access in invitations[0].accesses.all()] == [account]
    assert [sent.to for sent in mail.outbox] == [["eve@example.com"], ["fred@example.com"]]
    assert page.content.decode().count('value="http://testserver/invitation/') == 2


def test_text_that_is_typed_counts_as_a_file(sign_in, alice, settings):
    settings.MAIL_IS_SET_UP = False
    page = sign_in(alice).post(PATH, {"text": "email\neve@example.com"})
    assert page.status_code == 201
    assert "not sent" in page.content.decode()
    assert mail.outbox == []


def test_one_bad_row_and_nobody_is_invited(sign_in, alice, bob, dora, charlie, account):
    foreign = builders.subscriber(builders.connection(charlie.memberships.get().workspace), backend_id="foreign-1")
    rows = ["eve@example.com,acc-1", "dora@example.com,", f"x@example.com,{foreign.backend_id}", "y@example.com,nope"]
    page = sign_in(alice).post(PATH, {"text": "\n".join(["email,accounts", *rows])})
    assert page.status_code == 422
    text = page.content.decode()
    assert "Line 3: dora@example.com is a member already" in text
    assert "Line 4: No account has the id foreign-1." in text, "a foreign id answers as a made-up one"
    assert "Line 5: No account has the id nope." in text
    assert not Invitation.objects.exists()
    assert mail.outbox == []


def test_a_mail_server_that_fails_keeps_the_invitations_and_says_so(sign_in, alice, monkeypatch):
    tries = []

    def refuse(*given, **options):
        tries.append(given)
        raise ConnectionRefusedError

    monkeypatch.setattr("users.mails.send_mail", refuse)
    page = sign_in(alice).post(PATH, {"text": "email\na@example.com\nb@example.com\n"})
    assert page.status_code == 201
    assert page.content.decode().count("not sent") == 2
    assert len(tries) == 1, "a server that does not answer is asked once"
    assert Invitation.objects.count() == 2


@pytest.mark.parametrize("person", ["bob", "dora", "charlie", None])
def test_only_owner_and_manager_invite_clients(request, sign_in, alice, workspace, person):
    someone = person and request.getfixturevalue(person)
    answer = sign_in(someone).post(PATH, {"text": "email\neve@example.com"})
    assert answer.status_code == {"bob": 403, "dora": 404, "charlie": 201, None: 302}[person]
    assert not Invitation.objects.filter(workspace=workspace).exists()


def test_a_manager_may(sign_in, workspace):
    manager = builders.member(workspace, "mona", "manager")
    assert sign_in(manager).get(PATH).status_code == 200
    assert sign_in(manager).post(PATH, {"text": "email\neve@example.com"}).status_code == 201


def test_staff_may_become_clients_too(sign_in, alice, bob):
    assert sign_in(alice).post(PATH, {"text": f"email\n{bob.email}"}).status_code == 201
    assert Membership.objects.filter(user=bob).count() == 1, "not before they accept"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "names the columns"),
        ("name\nEve", 1, "names the columns"),
        ("email,email\na@example.com,b", 1, "names the columns"),
        ("email,phone\na@example.com,1", 1, "names the columns"),
        ("email\n\n", 0, "no clients"),
        ("email,name\na@example.com", 2, "1 cells"),
        ("email\nnonsense", 2, "not an e-mail address"),
        ("email\n" + "a" * 250 + "@example.com", 2, "e-mail address"),
        ("email,name\na@example.com," + "x" * 121, 2, "at most 120"),
        ("email\na@example.com\n\nA@Example.com", 4, "stands in line 2"),
        ('email\n"a@example.com', 2, "quotation mark"),
        ("email\na@example.com\0", 0, "no CSV"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, line, words):
    [(number, sentence)] = bad_lines(text)
    assert number == line
    assert words in sentence


def test_every_bad_row_is_named():
    assert [line for line, _ in bad_lines("email\nx\na@example.com\ny")] == [2, 4]


@pytest.mark.parametrize(("rows", "works"), [(MOST_ROWS, True), (MOST_ROWS + 1, False)])
def test_a_file_has_a_length(rows, works):
    text = "email\n" + "".join(f"c{number}@example.com\n" for number in range(rows))
    if works:
        assert len(read_clients(text.encode())) == rows
    else:
        assert "more than" in bad_lines(text)[0][1]


@pytest.mark.parametrize("content", [b"email\n\xff\xfe@example.com", "email\na@b.com".encode("utf-16")])
def test_another_encoding_is_named(content):
    with pytest.raises(BadRows) as caught:
        read_clients(content)
    assert "UTF-8" in caught.value.rows[0].text
