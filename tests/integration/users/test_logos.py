"""A firm's logo: what may be one, who may choose it, where it is shown, and that documents keep theirs."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from reporting.identity import BillingIdentity, parties_of
from subscribers.access import invite
from users import logos
from users.models import AuditEntry, Logo

pytestmark = pytest.mark.django_db


def picture(size=(300, 80), kind="PNG", **options) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, "#0b5394").save(out, kind, **options)
    return out.getvalue()


def upload(http, data: bytes, name="logo.png"):
    return http.post("/settings/logo/", {"logo": SimpleUploadedFile(name, data)}, follow=True)


def test_an_owner_chooses_a_logo_and_its_people_see_it(sign_in, alice, dora, charlie, client, workspace):
    http = sign_in(alice)
    assert "documents that are issued from now on" in upload(http, picture()).content.decode()
    logo = Logo.objects.get()
    address = f"/brand/logo/{logo.digest}.png"
    for person, has_it in ((alice, True), (dora, True), (charlie, False)):
        assert (address in sign_in(person).get("/notifications/").content.decode()) is has_it
    answer = client.get(address)
    assert (answer["Content-Type"], answer.content) == ("image/png", bytes(logo.png))
    assert "immutable" in answer["Cache-Control"]
    noted = AuditEntry.objects.get(action="logo changed")
    assert (noted.user, noted.details["before"], noted.details["after"]) == (
        alice,
        {"logo_digest": ""},
        {"logo_digest": logo.digest},
    )
    assert address not in http.post("/settings/logo/remove/", follow=True).content.decode()
    assert client.get(address).status_code == 200  # documents have it still


def test_an_invitation_shows_it_before_anybody_signed_in(alice, workspace, client):
    logos.choose(workspace, BytesIO(picture()), by=alice, now=workspace.created_at)
    invited = invite(workspace, email="erin@example.com", role="viewer", by=alice, now=timezone.now())
    page = client.get(f"/invitation/{invited.token}/", follow=True).content.decode()
    assert f"/brand/logo/{workspace.logo_digest}.png" in page


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_of_a_file_only_its_picture_stays_and_small(kind):
    data, size = logos.read(BytesIO(picture((3000, 500), kind)))
    assert size == (600, 100)
    assert Image.open(BytesIO(data)).format == "PNG"


def test_what_else_a_file_holds_is_left_behind():
    info = PngInfo()
    info.add_text("author", "SECRET <script>")
    data, _ = logos.read(BytesIO(picture(pnginfo=info) + b"<script>SECRET</script>"))
    assert b"SECRET" not in data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "no picture"),
        (picture()[:60], "no picture"),
        (picture(kind="GIF"), "no picture"),
        (picture((15, 100)), "15 × 100 pixels"),
        (picture((4001, 20)), "4001 × 20 pixels"),
        (b"x" * 1_000_001, "one megabyte"),
    ],
)
def test_what_is_no_logo_is_refused_with_what_to_do(sign_in, alice, workspace, data, words):
    assert words in upload(sign_in(alice), data).content.decode()
    workspace.refresh_from_db()
    assert (workspace.logo_digest, Logo.objects.count()) == ("", 0)


@pytest.mark.parametrize(("width", "fits"), [(16, True), (15, False), (4000, True), (4001, False)])
def test_the_bounds_of_its_size(width, fits):
    if fits:
        logos.read(BytesIO(picture((width, 16))))
    else:
        with pytest.raises(logos.NoLogo):
            logos.read(BytesIO(picture((width, 16))))


def test_a_firm_has_so_many_logos_in_all_its_time(alice, workspace, monkeypatch):
    monkeypatch.setattr(logos, "MOST_LOGOS", 2)
    for width in (20, 30):
        logos.choose(workspace, BytesIO(picture((width, 20))), by=alice, now=workspace.created_at)
    with pytest.raises(logos.NoLogo, match="at most 2 logos"):
        logos.choose(workspace, BytesIO(picture((40, 20))), by=alice, now=workspace.created_at)
    logos.choose(workspace, BytesIO(picture((20, 20))), by=alice, now=workspace.created_at)
    assert Logo.objects.get(digest=workspace.logo_digest).width == 20


def test_only_the_owner_may(sign_in, bob, dora, workspace):
    for person in (bob, dora):
        http = sign_in(person)
        assert http.post("/settings/logo/", {"logo": SimpleUploadedFile("a.png", picture())}).status_code in (403, 404)
        assert http.post("/settings/logo/remove/").status_code in (403, 404)
    assert not Logo.objects.exists()


@pytest.mark.parametrize("wrong", ["0" * 64, "x", "a" * 65])
def test_another_digest_is_nothing(client, wrong):
    assert client.get(f"/brand/logo/{wrong}.png").status_code == 404


def test_documents_keep_the_logo_of_their_day(alice, workspace):
    identity = BillingIdentity.of(workspace)
    assert "logo" not in parties_of(identity, None, account_name="A")["firm"]
    logos.choose(workspace, BytesIO(picture()), by=alice, now=workspace.created_at)
    first = workspace.logo_digest
    kept = parties_of(identity, None, account_name="A")["firm"]
    assert kept["logo"] == first
    logos.choose(workspace, BytesIO(picture((100, 100))), by=alice, now=workspace.created_at)
    assert workspace.logo_digest != first
    assert Logo.objects.filter(digest=first).exists()
