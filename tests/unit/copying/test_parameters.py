"""Query parameters in every form that known clients send them (contract, 1.8)."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copying.backend.http.parameters import MAX_PARAMETERS, Query
from copying.backend.state.errors import Refused


@pytest.mark.parametrize(
    "sent",
    [
        "strategyId=A&strategyId=B",
        "strategyId[]=A&strategyId[]=B",
        "strategyId%5B%5D=A&strategyId%5B%5D=B",
        "strategyId%5B0%5D=A&strategyId%5B1%5D=B",
        'strategyId=["A","B"]',
        "strategyId=%5B%22A%22%2C%22B%22%5D",
        'strategyId="A"&strategyId="B"',
        "strategyId=A&strategyId=&strategyId=B&strategyId=A",
    ],
)
def test_a_list_arrives_in_every_form(sent):
    assert Query(sent.encode()).texts("strategyId") == ["A", "B"]


@pytest.mark.parametrize("sent", ["", "subscriberId=", "subscriberId[]=", 'subscriberId=""', "subscriberId=[]"])
def test_an_empty_value_is_absent(sent):
    assert Query(sent.encode()).texts("subscriberId") == []
    assert Query(sent.encode()).text("subscriberId") == ""


@pytest.mark.parametrize(
    "sent",
    [
        "2020-08-24T00:00:00.000Z",
        '"2020-08-24T00:00:00.000Z"',
        "%222020-08-24T00:00:00.000Z%22",
        "2020-08-24T02:00:00%2B02:00",
        "2020-08-24T02:00:00+02:00",
        "2020-08-24T00:00:00",
        "2020-08-24",
    ],
)
def test_a_time_arrives_quoted_or_not_and_is_utc(sent):
    assert Query(f"from={sent}".encode()).moment("from") == datetime(2020, 8, 24, tzinfo=UTC)


@pytest.mark.parametrize("sent", ["yesterday", "2020-13-01", "9999-12-31T23:59:59-12:00", "1e400", "2020-08-24T25:00"])
def test_what_is_no_time_is_refused_by_name(sent):
    with pytest.raises(Refused) as refused:
        Query(f"from={sent}".encode()).moment("from")
    assert refused.value.status == 400
    assert refused.value.details[0]["parameter"] == "from"


@pytest.mark.parametrize(
    ("sent", "severity"),
    [("", 0), ("level=INFO", 1), ("level=LogLevel.WARN", 2), ("level=error", 3), ('level="DEBUG"', 0)],
)
def test_a_level_may_carry_the_name_of_its_enum(sent, severity):
    assert Query(sent.encode()).severity() == severity


@pytest.mark.parametrize("sent", ["0", "1001", "-1", "1.5", "ten", "١", "1e3", "99999999999999999999"])
def test_a_limit_outside_one_to_a_thousand_is_refused(sent):
    with pytest.raises(Refused):
        Query(f"limit={sent}".encode()).page()


def test_limit_and_offset_have_the_contracts_defaults():
    assert Query(b"limit=&offset=").page() == (1000, 0)
    assert Query(b'limit="5"&offset=10').page() == (5, 10)


@pytest.mark.parametrize(
    ("name", "bounds", "values"),
    [
        ("integer", (7, 2, 9), [("", 7), ("1", None), ("2", 2), ("3", 3), ("8", 8), ("9", 9), ("10", None)]),
        (
            "number",
            (7.0, 0.5, 9.5),
            [("", 7.0), ("0.4", None), ("0.5", 0.5), ("9.5", 9.5), ("9.6", None), ("-1", None)],
        ),
    ],
)
def test_numbers_are_within_their_bounds_or_named(name, bounds, values):
    kind = {"integer": "whole number", "number": "number"}[name]
    for sent, value in values:
        query = Query(f"places={sent}".encode())
        if value is None:
            with pytest.raises(Refused) as refused:
                getattr(query, name)("places", *bounds)
            assert refused.value.status == 400
            assert refused.value.details[0] == {
                "parameter": "places",
                "value": sent,
                "message": f"must be a {kind} between {bounds[1]} and {bounds[2]}",
            }
        else:
            assert getattr(query, name)("places", *bounds) == value


@pytest.mark.parametrize(("sent", "word"), [("", "asc"), ("asc", "asc"), ("desc", "desc"), ("ASC", None), ("up", None)])
def test_a_choice_is_one_of_its_words_and_the_first_when_absent(sent, word):
    query = Query(f"sortOrder={sent}".encode())
    if word is None:
        with pytest.raises(Refused) as refused:
            query.choice("sortOrder", ("asc", "desc"))
        assert refused.value.details[0]["message"] == "must be one of asc, desc"
    else:
        assert query.choice("sortOrder", ("asc", "desc")) == word


def test_what_is_refused_is_shown_up_to_a_length():
    with pytest.raises(Refused) as refused:
        Query(f"level={'x' * 201}".encode()).severity()
    assert refused.value.details[0]["value"] == "X" * 200
    assert refused.value.details[0]["message"].startswith("must be one of DEBUG, INFO")


def test_a_time_that_must_be_there_is_named():
    with pytest.raises(Refused) as refused:
        Query(b"from=").required_moment("from")
    assert refused.value.details == [{"parameter": "from", "value": None, "message": "is required"}]
    assert Query(b"from=2020-08-24").required_moment("from") == datetime(2020, 8, 24, tzinfo=UTC)


@pytest.mark.parametrize(("more", "is_read"), [(-1, True), (0, True), (1, False)])
def test_a_query_has_so_many_parameters_at_most(more, is_read):
    sent = b"&".join([b"x=1"] * (MAX_PARAMETERS + more))
    if is_read:
        assert Query(sent).texts("x") == ["1"]
        return
    with pytest.raises(Refused) as refused:
        Query(sent)
    assert (refused.value.status, refused.value.error) == (400, "ValidationError")


@pytest.mark.parametrize(
    ("sent", "texts"),
    [
        ('"A"', ["A"]),
        ('""', []),
        ('"', ['"']),
        ('["A",2]', ["A", "2"]),
        ("[]", []),
        ("[A,B]", None),
        ("A,B", ["A,B"]),
        ("[", ["["]),
        ('["A"', ['["A"']),
    ],
)
def test_only_whole_quotes_and_brackets_are_taken_off(sent, texts):
    if texts is None:
        with pytest.raises(Refused):
            Query(f"x={sent}".encode()).texts("x")
    else:
        assert Query(f"x={sent}".encode()).texts("x") == texts


@pytest.mark.parametrize(
    ("sent", "value"), [("", False), ("true", True), ("false", False), ("True", True), ("1", True), ("0", False)]
)
def test_booleans_are_words(sent, value):
    assert Query(f"includeRemoved={sent}".encode()).boolean("includeRemoved") is value


@pytest.mark.parametrize("name", ["texts", "text", "boolean", "moment", "severity"])
@given(query=st.binary(max_size=60))
def test_nothing_but_a_refusal_comes_of_nonsense(name, query):
    with suppress(Refused):
        getattr(Query(b"x=" + query), name)("x")
