"""A client answers to a rise of a fee on their own page: for their own accounts only, and for what they read."""

from __future__ import annotations

import re

import pytest

from reporting.models import TermsAnswer
from subscribers.models import SubscriberAccess
from tests import builders
from tests.integration.reporting.test_consent import Pair
from users.models import AuditEntry

pytestmark = pytest.mark.django_db
PAGE = "/me/agreements/"


@pytest.fixture
def pair() -> Pair:
    """Two clients of one strategy, each with a sign-in of their own; the fee rises to 30 %."""
    made = Pair()
    for account, name in ((made.first, "fay"), (made.second, "sam")):
        person = builders.member(made.firm.workspace, name, "subscriber")
        SubscriberAccess.objects.create(membership=person.memberships.get(), subscriber=account)
        setattr(made, name, person)
    made.change(commissionRate=0.3)
    return made


def forms_of(page: str) -> list[dict[str, str]]:
    """The hidden inputs of each question."""
    parts = page.split('action="/me/agreements/fee/"')[1:]
    return [
        dict(re.findall(r'name="(version|account|digest)" value="([^"]*)"', part.split("</form>")[0])) for part in parts
    ]


def answer(http, form: dict[str, str], word: str) -> str:
    return http.post(f"{PAGE}fee/", form | {"answer": word}, follow=True).content.decode()


def test_a_client_agrees_and_only_they_pay_more(pair, sign_in):
    http = sign_in(pair.fay)
    assert "Something waits for your answer" in http.get("/me/").content.decode()
    page = http.get(PAGE).content.decode()
    (form,) = forms_of(page)
    assert "30\u202f%" in page
    assert "10\u202f%" in page
    assert "Recorded:" in answer(http, form, "agreed")
    recorded = TermsAnswer.objects.get()
    assert (recorded.subscriber_id, recorded.is_consent) == (pair.first.backend_id, True)
    assert (recorded.recorded_by, recorded.address, recorded.digest) == (pair.fay, "127.0.0.1", form["digest"])
    assert AuditEntry.objects.filter(action="consent recorded", user=pair.fay).count() == 1
    assert forms_of(http.get(PAGE).content.decode()) == []
    assert "was changed meanwhile" in answer(http, form, "agreed"), "answered for good"
    assert len(forms_of(sign_in(pair.sam).get(PAGE).content.decode())) == 1, "the other client is still asked"


def test_a_client_refuses_and_may_change_their_mind(pair, sign_in):
    http = sign_in(pair.fay)
    (form,) = forms_of(http.get(PAGE).content.decode())
    assert "you keep what you pay" in answer(http, form, "refused")
    assert "You refused another fee" in http.get(PAGE).content.decode()
    assert "waits for your answer" not in http.get("/me/").content.decode()
    answer(http, form, "agreed")
    assert [row.is_consent for row in TermsAnswer.objects.order_by("pk")] == [False, True]


@pytest.mark.parametrize("wrong", [{"answer": "yes"}, {"digest": "0" * 64}, {"version": "1x"}, {"account": "0"}])
def test_nothing_is_recorded_of_what_was_not_asked(pair, sign_in, wrong):
    http = sign_in(pair.fay)
    (form,) = forms_of(http.get(PAGE).content.decode())
    http.post(f"{PAGE}fee/", form | {"answer": "agreed"} | wrong)
    assert not TermsAnswer.objects.exists()


def test_nobody_answers_for_another_account(pair, sign_in):
    (theirs,) = forms_of(sign_in(pair.sam).get(PAGE).content.decode())
    http = sign_in(pair.fay)
    answer(http, theirs, "agreed")
    (own,) = forms_of(http.get(PAGE).content.decode())
    answer(http, own | {"account": theirs["account"]}, "agreed")
    owner = builders.member(pair.firm.workspace, "olga", "owner")
    assert sign_in(owner).post(f"{PAGE}fee/", own | {"answer": "agreed"}).status_code == 404
    assert not TermsAnswer.objects.exists()


def test_terms_that_were_changed_again_are_read_again(pair, sign_in):
    http = sign_in(pair.fay)
    (form,) = forms_of(http.get(PAGE).content.decode())
    pair.change(commissionRate=0.4)
    assert "was changed meanwhile" in answer(http, form, "agreed")
    assert not TermsAnswer.objects.exists()
    assert "40\u202f%" in http.get(PAGE).content.decode()
