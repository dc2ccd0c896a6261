"""A link about one workspace, opened by who looks at another: they are asked, and then led to the page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests import builders
from users.leading import path_as
from users.models import Membership, Role
from users.notice_packing import links_of, pack_due
from users.notice_rules import KINDS
from users.notice_telling import NoticeCause, begin_workspace, take_up
from users.notices import NoticeMessage

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def second(alice):
    """Another firm, where she is manager."""
    firm = builders.workspace(name="Second Capital")
    return Membership.objects.create(user=alice, workspace=firm, role=Role.MANAGER)


@pytest.mark.parametrize(
    ("path", "led"),
    [
        ("/sync/", "/sync/?as_member={}"),
        ("/subscribers/?q=a%26b", "/subscribers/?q=a%26b&as_member={}"),
        ("/subscribers/7/#limits", "/subscribers/7/?as_member={}#limits"),
    ],
)
def test_the_part_of_a_page_stays_at_the_end(second, path, led):
    assert path_as(second, path) == led.format(second.pk)


def test_links_of_messages_name_the_workspace_where_there_are_several(second, alice, workspace, settings):
    settings.PORTAL_URL = "https://portal.example.com"
    begin_workspace(second.workspace, now=NOW)
    take_up(
        second.workspace, KINDS["stopout"], [NoticeCause("stopout:1", "Stopped", NOW, path="/subscribers/7/")], now=NOW
    )
    pack_due(NOW)
    (message,) = NoticeMessage.objects.filter(membership=second)
    assert links_of(message) == [f"https://portal.example.com/subscribers/7/?as_member={second.pk}"]
    assert f"https://portal.example.com/notifications/?as_member={second.pk}\n" in message.mail.text


def test_who_looks_at_another_is_asked_and_led(sign_in, alice, workspace, second):
    account = builders.subscriber(builders.connection(second.workspace))
    http, path = sign_in(alice), f"/subscribers/{account.pk}/"
    assert http.get(path).status_code == 404
    page = http.get(path_as(second, f"{path}?a=b"))
    assert (page.status_code, "Second Capital" in page.content.decode()) == (200, True)
    assert http.get(path).status_code == 404  # opening it changed nothing
    assert f'value="{path}?a=b"' in page.content.decode()
    answer = http.post(f"/switch/{second.workspace_id}/", {"as": second.role, "next": path})
    assert (answer.status_code, answer.url) == (302, path)
    assert http.get(path).status_code == 200
    assert http.get(path_as(second, path)).url == path  # there already


def test_who_is_staff_and_client_of_one_is_asked_too(sign_in, alice, workspace):
    own = Membership.objects.create(user=alice, workspace=workspace, role=Role.SUBSCRIBER)
    page = sign_in(alice).get(path_as(own, "/me/"))
    assert "where you are a client" in page.content.decode()


@pytest.mark.parametrize("named", ["0", "", "x", "999999999999999999999", "foreign", "gone"])
def test_of_whom_one_is_not_nothing_is_told(sign_in, alice, bob, workspace, second, named):
    if named == "gone":
        Membership.objects.filter(pk=second.pk).update(deactivated_at=NOW)
    foreign = Membership.objects.get(user=bob)
    named = {"foreign": str(foreign.pk), "gone": str(second.pk)}.get(named, named)
    answer = sign_in(alice).get(f"/sync/?as_member={named}")
    assert (answer.status_code, answer.url) == (302, "/sync/")


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/"])
def test_no_address_of_others_is_led_to(sign_in, alice, second, path):
    answer = sign_in(alice).get(f"{path}?as_member=0")
    assert answer.status_code in (302, 404)
    assert answer.status_code == 404 or answer.url == "/"
    assert sign_in(alice).post(f"/switch/{second.workspace_id}/", {"next": path}).url == "/"


def test_who_is_not_signed_in_signs_in_first_and_is_led_then(client, second):
    answer = client.get(path_as(second, "/sync/"))
    assert answer.status_code == 302
    assert f"as_member%3D{second.pk}" in answer.url
