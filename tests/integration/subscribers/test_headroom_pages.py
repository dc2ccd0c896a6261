"""What is left of risk limits: the column of the list, the part of an account, the client's page and the overview."""

from decimal import Decimal

import pytest
from django.db import connection as database

from copying.contract import wire
from copying.contract.accounts import AccountLimits
from subscribers.headroom import keep_limits
from subscribers.models import Subscriber
from tests import builders

DAY = {"level": "subscriber", "type": "date", "applyTo": "equity-difference", "closePositions": True}
LIFETIME = {"level": "strategy", "type": "lifetime", "applyTo": "balance-difference", "strategyId": "alpine"}


def told(account_id: str, *limits: dict) -> AccountLimits:
    body = [{"accountId": account_id, "currency": "USD", "time": "2026-03-04T10:00:00.000Z", "limits": list(limits)}]
    return wire.decode(wire.encode(body), list[AccountLimits])[0]


@pytest.fixture
def limited(business):
    """Dora's account has lost 90 of 100 allowed today and nothing of 500; the other one has no limit."""
    near = DAY | {"maxRelativeRisk": 0.1, "startBalance": 1000, "drawdown": 90, "startTime": "2026-03-04T00:00:00.000Z"}
    far = LIFETIME | {"maxAbsoluteRisk": 500, "startBalance": 1000, "drawdown": -12.5}
    later = DAY | {"type": "month", "maxAbsoluteRisk": 5, "drawdown": 5, "startTime": "2999-01-01T00:00:00.000Z"}
    assert keep_limits(business.connection, [told(business.hers.backend_id, near, far, later)]) == 1
    return business


def test_the_nearest_limit_is_kept_beside_the_account(limited):
    hers = Subscriber.objects.get(pk=limited.hers.pk)
    assert (hers.limit_reason, hers.limit_measured, hers.limit_amount) == ("date-equity-difference", 90, 100)
    assert hers.headroom == Decimal("0.1")
    assert keep_limits(limited.connection, []) == 0


def test_the_list_shows_and_sorts_by_what_is_left(limited, is_for_staff_only, sign_in, alice, text_of):
    page = is_for_staff_only("/subscribers/?sort=headroom", stranger=200)
    assert "10.00 left" in page
    assert "Loss of equity within a calendar day: 90.00 of 100.00" in page
    rows = text_of(sign_in(alice).get("/subscribers/?sort=-headroom&format=csv")).splitlines()
    assert "headroom_fraction,nearest_limit,limit_measured,limit_amount" in rows[0]
    assert "0.1,date-equity-difference,90,100" in rows[1]
    assert rows[2].startswith("Other account"), "no limit comes last whatever the direction"
    assert "Headroom" in text_of(sign_in(alice).get(f"/strategies/{limited.alpine.pk}/subscribers/?sort=headroom"))


def test_sorting_by_headroom_uses_its_index(limited, sign_in, alice, text_of):
    for number in range(300):
        builders.subscriber(limited.connection, headroom=Decimal(number) / 1000)
    with database.cursor() as cursor:
        cursor.execute("ANALYZE subscribers_subscriber")
        cursor.execute("SET LOCAL enable_seqscan = off")
    rows = Subscriber.objects.filter(workspace=limited.workspace, headroom__isnull=False).order_by("headroom", "id")
    assert "subscriber_by_headroom" in rows[:51].explain()


def test_the_part_of_an_account_tells_every_limit(limited, is_for_staff_only, sign_in, alice):
    page = is_for_staff_only(f"/subscribers/{limited.hers.pk}/limits/")
    assert "Loss of equity within a calendar day" in page
    assert "Closed loss since the start" in page
    assert "on Alpine Trend, set by the strategy; stops new trades" in page
    assert "A gain of 12.50" in page
    assert "Counts from" in page
    assert page.index("calendar day") < page.index("since the start") < page.index("within a month")
    assert "Closed loss since the start" in is_for_staff_only(f"/subscribers/{limited.hers.pk}/")
    part = sign_in(alice).get(f"/subscribers/{limited.other.pk}/limits/", headers={"HX-Request": "true"})
    assert b"Limits are set, but the copying backend does not tell" in part.content, "its strategy has one"
    assert b"<html" not in part.content
    free = builders.subscriber(limited.connection)
    assert b"No risk limit is set" in sign_in(alice).get(f"/subscribers/{free.pk}/limits/").content


def test_a_limit_of_a_portfolios_member_names_both(business, sign_in, alice, text_of):
    member = LIFETIME | {"strategyId": "balanced", "sourceStrategyId": "alpine", "level": "member"}
    far = member | {"maxAbsoluteRisk": 500, "drawdown": 1}
    keep_limits(business.connection, [told(business.hers.backend_id, far, far | {"sourceStrategyId": "gone"})])
    page = text_of(sign_in(alice).get(f"/subscribers/{business.hers.pk}/limits/"))
    assert "on Balanced, member Alpine Trend, set by the portfolio&#39;s member" in page
    assert "member gone" in page


def test_a_client_sees_what_is_left_before_it_fires(limited, sign_in, alice, charlie, dora, text_of):
    page = text_of(sign_in(dora).get("/me/"))
    assert "Loss of equity within a calendar day" in page
    assert "10.00" in page
    assert 'hx-get="/subscribers' not in page
    for person in (alice, charlie):
        assert sign_in(person).get("/me/").status_code == 404


def test_the_overview_names_who_is_close_to_a_limit(limited, sign_in, alice, bob, charlie, text_of):
    for person in (alice, bob):
        page = text_of(sign_in(person).get("/"))
        assert "is close to a limit" in page
        assert "10.00" in page
        assert "loss of equity within a calendar day" in page
    assert "close to a limit" not in text_of(sign_in(charlie).get("/"))
    assert sign_in(None).get("/").headers["Location"].startswith("/accounts/login/")


def test_the_number_of_queries(limited, sign_in, alice, django_assert_num_queries):
    client = sign_in(alice)
    with django_assert_num_queries(4):
        client.get(f"/subscribers/{limited.hers.pk}/limits/", headers={"HX-Request": "true"})


def test_an_unchanged_limit_is_not_written_again(limited):
    far = LIFETIME | {"maxAbsoluteRisk": 500, "startBalance": 1000, "drawdown": 1}
    assert keep_limits(limited.connection, [told(limited.hers.backend_id, far)]) == 1
    assert keep_limits(limited.connection, [told(limited.hers.backend_id, far)]) == 0
    assert keep_limits(limited.connection, [told("nobody", far)]) == 0
