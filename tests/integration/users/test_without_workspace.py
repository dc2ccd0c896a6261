"""Somebody who belongs to no workspace any more is told so, and what to do."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/settings/", "/nothing/"])
def test_a_person_without_a_workspace_is_told_what_to_do(alice, sign_in, path):
    client = sign_in(alice)
    assert "no workspace" not in client.get("/nothing/").content.decode()
    alice.memberships.all().delete()
    answer = client.get(path)
    assert answer.status_code == 404
    assert "belongs to no workspace" in answer.content.decode()
    assert "belongs to no workspace" not in sign_in(None).get("/nothing/").content.decode()
