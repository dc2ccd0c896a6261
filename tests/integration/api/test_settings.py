"""Settings changed by programs: from a version on, once, by the review of the pages, as far as the backend says."""

from __future__ import annotations

import pytest

from api.models import ApiToken, ApiWrite
from copying.client import Client as BackendClient
from copying.client import Unreachable
from editing.models import Change
from tests import builders
from tests.integration.editing.conftest import desk, served  # noqa: F401  # fixtures
from users.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "subscribers/{}/subscriptions/{}/settings/"


@pytest.fixture
def caller(program, alice):
    return program(alice)


def path_of(desk) -> str:  # noqa: F811
    return PATH.format(desk.hers.pk, desk.alpine.backend_id)


def patch(caller, path, settings, **options):
    """A change from the version of now on."""
    more = options.pop("more", {})
    if "version" not in options:
        options["version"] = caller.get(path.partition("?")[0])["ETag"]
    return caller.write("patch", path, {"settings": settings, **more}, **options)


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].split("/")[-2]


def test_a_setting_is_read_with_its_version_and_changed_from_it_on(desk, caller, alice):  # noqa: F811
    path = path_of(desk)
    read = caller.get(path)
    assert read.json()["settings"]["multiplier"] == 2
    answer = patch(caller, path, {"multiplier": 0.5})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["outcome"] == "done"
    assert body["change"]["token"] == "Program"
    assert "Ratio" in body["change"]["summary"]
    assert answer["ETag"] == caller.get(path)["ETag"] != read["ETag"]
    assert desk.at_backend(desk.hers)["subscriptions"][0]["multiplier"] == 0.5
    change = Change.objects.get()
    assert (change.saved_by, change.sent_with) == (alice, "Program")
    entry = AuditEntry.objects.get(action="subscriber changed")
    assert (entry.via, entry.actor, entry.details["token"]) == ("token", f"{alice.email} (Program)", "Program")
    desk.hers.refresh_from_db()
    assert desk.hers.document["subscriptions"][0]["multiplier"] == 0.5, "the pages show it at once"


def test_an_edit_needs_the_version_that_it_starts_from(desk, caller):  # noqa: F811
    path = path_of(desk)
    assert problem(caller.write("patch", path, {"settings": {"multiplier": 1}})) == (428, "if-match-needed")
    first = caller.get(path)["ETag"]
    assert patch(caller, path, {"multiplier": 0.5}, version=first).status_code == 200
    late = patch(caller, path, {"multiplier": 0.7}, version=first)
    assert problem(late) == (412, "changed-meanwhile")
    assert late["ETag"] == caller.get(path)["ETag"]
    assert patch(caller, path, {"multiplier": 0.7}, version=f'"old", {late["ETag"]}').status_code == 200
    assert patch(caller, path, {"multiplier": 0.8}, version="*").status_code == 200
    assert desk.at_backend(desk.hers)["subscriptions"][0]["multiplier"] == 0.8


def test_what_somebody_else_changed_at_the_backend_is_named(desk, caller):  # noqa: F811
    path, read = path_of(desk), caller.get(path_of(desk))
    document = desk.at_backend(desk.hers)
    document["subscriptions"][0] |= {"multiplier": 3}
    with desk.client() as client:
        client.put_subscriber(desk.hers.backend_id, {k: v for k, v in document.items() if k != "_id"})
    answer = patch(caller, path, {"maxTradeVolume": 1}, version=read["ETag"])
    assert problem(answer) == (412, "changed-meanwhile")
    [theirs] = answer.json()["differences"]
    assert (theirs["setting"], theirs["before"], theirs["after"]) == ("Ratio", "2\u202f×", "3\u202f×")
    assert desk.at_backend(desk.hers) == document | {"_id": desk.hers.backend_id}


def test_two_programs_that_change_other_parts_of_an_account_do_not_meet(desk, caller):  # noqa: F811
    with desk.client() as client:
        document = client.subscriber(desk.hers.backend_id)
        terms = [*document["subscriptions"], {"strategyId": desk.boreal.backend_id, "multiplier": 1}]
        client.put_subscriber(desk.hers.backend_id, {"name": "Hers", "subscriptions": terms})
    desk.mirror()
    first, second = path_of(desk), PATH.format(desk.hers.pk, desk.boreal.backend_id)
    versions = caller.get(first)["ETag"], caller.get(second)["ETag"]
    assert patch(caller, first, {"multiplier": 0.5}, version=versions[0]).status_code == 200
    assert patch(caller, second, {"multiplier": 0.6}, version=versions[1]).status_code == 200
    ratios = [terms["multiplier"] for terms in desk.at_backend(desk.hers)["subscriptions"]]
    assert ratios == [0.5, 0.6]


def test_a_dry_run_is_the_review_and_changes_nothing(desk, caller):  # noqa: F811
    path, before = path_of(desk), desk.at_backend(desk.hers)
    version = caller.get(path)["ETag"]
    headers = {"If-Match": version}
    answer = caller.call("patch", f"{path}?dry_run=true", {"settings": {"multiplier": 0.5}}, **headers)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["outcome"], body["change"]) == ("proposed", None)
    review = body["review"]
    [row] = review["differences"]
    assert (row["setting"], row["before"], row["after"]) == ("Ratio", "2\u202f×", "0.5\u202f×")
    assert review["effects"]["is_dangerous"] is False
    assert review["accounts_reached"] == 1
    assert review["what_if"]["days"] == 30
    assert not Change.objects.exists()
    assert not ApiWrite.objects.exists()
    assert desk.at_backend(desk.hers) == before
    assert problem(caller.call("patch", f"{path}?dry_run=1", {"settings": {}}, **headers))[1] == "bad-parameter"


def test_what_acts_at_once_is_confirmed_by_the_name(desk, caller):  # noqa: F811
    path = path_of(desk)
    answer = patch(caller, path, {"closeOnly": "immediately"})
    assert problem(answer) == (422, "confirmation-needed")
    assert answer.json()["errors"][0]["pointer"] == "/confirm"
    assert answer.json()["review"]["effects"]["reasons"] == ["Copied positions are closed at once."]
    assert (
        problem(patch(caller, path, {"closeOnly": "immediately"}, more={"confirm": "hers"}))[1] == "confirmation-needed"
    )
    assert "closeOnly" not in desk.at_backend(desk.hers)["subscriptions"][0]
    assert not Change.objects.exists()
    assert patch(caller, path, {"closeOnly": "immediately"}, more={"confirm": "Hers"}).status_code == 200
    assert desk.at_backend(desk.hers)["subscriptions"][0]["closeOnly"] == "immediately"


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"multiplierr": 1}, "/settings/multiplierr"),
        ({"multiplier": -1}, "/settings/multiplier"),
        ({"multiplier": "much"}, "/settings/multiplier"),
        ({"strategyId": "other"}, "/settings/strategyId"),
        ({"removed": True}, "/settings/removed"),
        ({"maxTradeRisk": 2}, "/settings/maxTradeRisk"),
        ({"riskLimits": [{"type": "day", "applyTo": "balance", "maxRisk": 1}]}, "/settings/riskLimits/0/maxRisk"),
        ({"tradeSizeScaling": {"mode": "none", "x": 1}}, "/settings/tradeSizeScaling/x"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(settings, pointer, desk, caller):  # noqa: F811
    before = desk.at_backend(desk.hers)
    answer = patch(caller, path_of(desk), settings)
    assert answer.status_code == 422, answer.content
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert desk.at_backend(desk.hers) == before


def test_null_takes_a_setting_out_and_objects_are_merged(desk, caller):  # noqa: F811
    path = f"strategies/{desk.alpine.pk}/settings/"
    scaling = {"mode": "fixedVolume", "tradeVolume": 0.1}
    assert patch(caller, path, {"tradeSizeScaling": scaling, "maxLeverage": 5}).status_code == 200
    assert patch(caller, path, {"tradeSizeScaling": {"tradeVolume": 0.2}, "maxLeverage": None}).status_code == 200
    document = desk.at_backend(desk.alpine)
    assert document["tradeSizeScaling"] == {"mode": "fixedVolume", "tradeVolume": 0.2}
    assert "maxLeverage" not in document
    assert patch(caller, path, {"maxLeverage": None}).json()["outcome"] == "unchanged"


def test_from_when_another_commission_holds(desk, caller):  # noqa: F811
    path = f"strategies/{desk.alpine.pk}/settings/"
    scheme = {"commissionScheme": {"type": "amount-won", "billingPeriod": "month", "commissionRate": 0.2}}
    for wrong in ("2020-01-01", "2027-02-30", "soon"):
        answer = patch(caller, path, scheme, more={"terms_from": wrong})
        assert answer.json()["errors"][0]["pointer"] == "/terms_from"
    assert patch(caller, path, scheme, more={"terms_from": "now"}).status_code == 200
    assert Change.objects.get().terms_from == "now"


def test_pausing_and_going_on(desk, caller):  # noqa: F811
    path = f"subscribers/{desk.hers.pk}/close-only/"
    paused = caller.write("post", path, {"mode": "by-position"})
    assert paused.json()["outcome"] == "done", paused.content
    assert desk.at_backend(desk.hers)["closeOnly"] == "by-position"
    assert caller.write("post", path, {"mode": "by-position"}).json()["outcome"] == "unchanged"
    assert caller.write("post", path, {"mode": ""}).json()["outcome"] == "done"
    assert "closeOnly" not in desk.at_backend(desk.hers)
    one = caller.write("post", path, {"mode": "by-symbol", "strategy": desk.alpine.backend_id})
    assert one.json()["outcome"] == "done"
    assert desk.at_backend(desk.hers)["subscriptions"][0]["closeOnly"] == "by-symbol"
    answer = caller.write("post", path, {"mode": "by-symbol", "strategy": desk.boreal.backend_id})
    assert answer.json()["errors"][0]["pointer"] == "/strategy"
    assert problem(caller.write("post", path, {"mode": "immediately"}))[1] == "confirmation-needed"


def test_a_change_is_read_and_put_back(desk, caller):  # noqa: F811
    made = patch(caller, path_of(desk), {"multiplier": 0.5}).json()["change"]
    assert caller.get(f"changes/{made['id']}/").json() == made
    undone = caller.write("post", f"changes/{made['id']}/undo/", {})
    assert undone.json()["change"]["undoes"] == made["id"], undone.content
    assert desk.at_backend(desk.hers)["subscriptions"][0]["multiplier"] == 2
    assert problem(caller.write("post", f"changes/{made['id']}/undo/", {})) == (422, "refused")


def test_a_service_changes_in_its_own_name(desk, program, alice):  # noqa: F811
    service = program(alice, service_role="manager")
    assert patch(service, path_of(desk), {"multiplier": 0.5}).status_code == 200
    change, entry = Change.objects.get(), AuditEntry.objects.get(action="subscriber changed")
    assert (change.saved_by, change.sent_with) == (None, "Program")
    assert (entry.user, entry.via, entry.actor) == (None, "token", "Program")
    viewer = program(alice, service_role="viewer")
    assert problem(patch(viewer, path_of(desk), {"multiplier": 1})) == (403, "forbidden")


def test_a_backend_that_cannot_be_reached_leaves_the_key_free(desk, caller, monkeypatch):  # noqa: F811
    path, version = path_of(desk), caller.get(path_of(desk))["ETag"]
    with monkeypatch.context() as away:
        down = Unreachable("Cannot reach the backend: refused.", was_sent=False)

        def fail(*args, **options):
            raise down

        away.setattr(BackendClient, "subscriber", fail)
        answer = patch(caller, path, {"multiplier": 0.5}, key="k", version=version)
        assert problem(answer) == (503, "backend-unavailable")
        assert answer["Retry-After"]
    assert patch(caller, path, {"multiplier": 0.5}, key="k", version=version).status_code == 200


def test_secrets_stay_unsaid(desk, caller):  # noqa: F811
    path = f"strategies/{desk.alpine.pk}/settings/"
    telegram = {"publishing": {"token": "123:verysecret", "chatId": "@x", "template": "a"}}
    answer = patch(caller, path, {"telegram": telegram})
    assert answer.status_code == 200, answer.content
    assert desk.at_backend(desk.alpine)["telegram"]["publishing"]["token"] == "123:verysecret"
    texts = [answer.content.decode(), caller.get(path).content.decode()]
    texts += [str(row) for row in AuditEntry.objects.values_list("details", flat=True)]
    assert "verysecret" not in "".join(texts)
    again = patch(caller, path, {"maxLeverage": 7}, version=answer["ETag"])
    assert again.status_code == 200, "the version after a save is that of the mirror"


def test_a_token_that_reads_changes_nothing(desk, program, alice):  # noqa: F811
    reader = program(alice, "read")
    version = reader.get(path_of(desk))["ETag"]
    assert problem(patch(reader, path_of(desk), {"multiplier": 1}, version=version)) == (403, "read-only-token")
    assert ApiToken.objects.get(scope="read").scope == "read"


def test_two_accounts_of_two_firms_keep_their_keys_apart(desk, caller, program, charlie):  # noqa: F811
    other = builders.subscriber(builders.connection(charlie.memberships.get().workspace), name="Theirs")
    foreign = caller.write("patch", f"subscribers/{other.pk}/settings/", {"settings": {}}, key="k", version="*")
    made_up = caller.write("patch", "subscribers/987654321/settings/", {"settings": {}}, key="l", version="*")
    assert foreign.status_code == made_up.status_code == 404
    assert foreign.content == made_up.content
    assert patch(caller, path_of(desk), {"multiplier": 1}, key="m").status_code == 200
    assert patch(program(charlie), path_of(desk), {"multiplier": 1}, key="m", version="*").status_code == 404
