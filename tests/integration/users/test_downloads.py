"""Two downloads at a time per person and workspace; private answers are not kept; nothing switches buffering off."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from users import downloads

FILES = ("/transactions/?format=csv", "/subscribers/?format=csv")


def test_a_third_slot_of_a_person_in_a_workspace_is_not_there(db):
    first, second = downloads.take_slot(1, 7), downloads.take_slot(1, 7)
    assert None not in (first, second)
    assert downloads.take_slot(1, 7) is None
    assert downloads.take_slot(2, 7), "another person's"
    assert downloads.take_slot(1, 8), "another workspace's"
    first.release()
    assert downloads.take_slot(1, 7)


def test_a_slot_whose_lease_ended_is_not_taken_from_its_next_owner(db):
    first = downloads.take_slot(1, 7)
    cache.delete(first.key)
    assert downloads.take_slot(1, 7).key == first.key
    first.release()
    assert cache.get(first.key) is not None


def test_a_slot_that_is_renewed_stays(db):
    slot = downloads.take_slot(1, 7)
    cache.touch(slot.key, 1)
    slot.renew()
    assert cache._cache.get_client().ttl(cache.make_key(slot.key)) > 30


@pytest.mark.usefixtures("business")
@pytest.mark.parametrize("path", FILES)
def test_a_third_download_is_a_page_that_says_so(sign_in, alice, path):
    client, held = sign_in(alice), []
    for _ in range(2):
        held.append(client.get(path))
        assert held[-1].status_code == 200
    third = client.get(path)
    assert (third.status_code, third["Retry-After"]) == (429, "10")
    assert "being downloaded already" in third.content.decode()
    assert b"".join(held[0].streaming_content)
    assert client.get(path).status_code == 200


@pytest.mark.usefixtures("business")
@pytest.mark.parametrize("path", ["/", "/strategies/", "/transactions/", FILES[0], "/settings/", "/sync/", "/nothing/"])
def test_private_answers_are_not_kept(sign_in, alice, path):
    answer = sign_in(alice).get(path)
    assert "no-store" in answer["Cache-Control"]
    assert not answer.has_header("X-Accel-Buffering")
