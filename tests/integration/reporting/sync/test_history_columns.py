"""The border and the columns agree: what a page lets through can be kept as it is, what it stops is no figure."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import DecodeError

from reporting.models import DailyResult, Transaction
from reporting.sync.deals import read_page
from reporting.sync.history import store, text_of
from tests import builders
from tests.faults.sim_backend import START
from tests.faults.sim_backend import transaction as deal

pytestmark = pytest.mark.django_db
MONEY = {
    "quantity": ("volume_lots", 8),
    "tickPrice": ("price", 10),
    "lotPrice": ("lot_price", 10),
    "amount": ("amount", 8),
    "profit": ("profit", 8),
    "swap": ("swap", 8),
    "commission": ("commission", 8),
    "improvement": ("improvement", 8),
    "providerCommission": ("provider_commission", 8),
    "platformCommission": ("platform_commission", 8),
    "incomingProviderCommission": ("incoming_provider_commission", 8),
    "incomingPlatformCommission": ("incoming_platform_commission", 8),
}
FIGURES = st.one_of(
    st.decimals(-(10**14), 10**14, allow_nan=False, places=12).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**16), 10**16).map(str),
)


def _body(**figures: str) -> bytes:
    """A page of one deal whose figures are spelled exactly so."""
    record = deal(1, START)
    text = json.dumps(record | {name: f"#{name}#" for name in figures})
    for name, figure in figures.items():
        text = text.replace(f'"#{name}#"', figure)
    return f"[{text}]".encode()


def _store(body: bytes, connection):
    with transaction.atomic():
        return store(text_of(read_page(body)), workspace_id=connection.workspace_id, connection_id=connection.pk)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(figure=FIGURES)
@example(figure="99999999999999.99999999999999")
@example(figure="-99999999999999")
@example(figure="1e-30")
@example(figure="9.5E+13")
@example(figure="0.30000000000000004")
def test_a_figure_that_passes_the_border_fits_every_column(figure):
    with transaction.atomic():
        connection = builders.connection(builders.workspace())
        try:
            lines = read_page(_body(**dict.fromkeys(MONEY, figure)))
        except DecodeError:
            assert not abs(Decimal(figure)) < Decimal("1e14") or Decimal(figure).adjusted() < -8 or len(figure) > 20
            transaction.set_rollback(True)
            return
        assert len(lines) == 1
        store(text_of(lines), workspace_id=connection.workspace_id, connection_id=connection.pk)
        row = Transaction.objects.get(connection=connection)
        for column, places in MONEY.values():
            assert abs(getattr(row, column) - Decimal(figure)) <= Decimal(1).scaleb(-places), column
        assert DailyResult.objects.get(connection=connection).profit == row.profit
        transaction.set_rollback(True)


def test_measures_at_their_limits_fit_their_columns():
    connection = builders.connection(builders.workspace())
    measures = {
        "tradeCopyingLatency": 1e10,
        "tradeAlgorithmLatency": -1e10,
        "tradeCopyingSlippageInBasisPoints": 1e7,
        "tradeCopyingSlippageInAccountCurrency": 99999999999999.98,
    }
    _store(_body(metrics=json.dumps(measures)), connection)
    row = Transaction.objects.get()
    assert (row.latency_ms, row.algorithm_latency_ms, row.slippage_bp) == (10**10, -(10**10), 10**7)
    assert row.slippage_amount == Decimal("99999999999999.98")


@pytest.mark.parametrize(
    "figure", ["NaN", "Infinity", "1e14", "-100000000000000", "1e400", "1e-31", '"a lot"', "{}", "[1]", "true", "null"]
)
@pytest.mark.parametrize("name", ["profit", "platformCommission"])
def test_what_is_no_figure_stops_at_the_border(name, figure):
    with pytest.raises(DecodeError):
        read_page(_body(**{name: figure}))


@pytest.mark.parametrize("figure", ["NaN", "1e14", "1e400", '"a lot"', "{}", "true", "999999999999999.5"])
def test_a_figure_that_may_be_missing_stops_at_the_border_too(figure):
    with pytest.raises(DecodeError):
        read_page(_body(amount=figure))


def test_unknown_fields_are_kept_beside_the_columns():
    connection = builders.connection(builders.workspace())
    known, more = deal(1, START), deal(2, START, comment="tab\there", rate=1.5)
    more["metrics"]["broker"] = {"name": "A"}
    more["strategy"]["colour"] = "red"
    more["sourceStrategy"] = {"id": "leaf", "name": "Leaf", "rank": 1}
    _store(json.dumps([known, more]).encode(), connection)
    assert Transaction.objects.get(backend_id=known["id"]).extra is None
    assert Transaction.objects.get(backend_id=more["id"]).extra == {
        "comment": "tab\there",
        "rate": 1.5,
        "metrics": {"broker": {"name": "A"}},
        "strategy": {"colour": "red"},
        "sourceStrategy": {"id": "leaf", "name": "Leaf", "rank": 1},
    }


def test_a_page_reads_the_same_with_and_without_unknown_fields():
    records = [deal(number, START) for number in range(50)]
    plain = read_page(json.dumps(records).encode())
    careful = read_page(json.dumps([*records[:-1], records[-1] | {"beyond": 1}]).encode())
    assert [line.text for line in plain[:-1]] == [line.text for line in careful[:-1]]


def test_names_that_differ_only_by_where_a_tab_stands_are_two_deals():
    one, other = deal(1, START, id="a\tb", subscriberId="c"), deal(1, START, id="a", subscriberId="b\tc")
    lines = read_page(json.dumps([one, other]).encode())
    assert lines[0].key != lines[1].key


def test_a_deal_that_is_known_already_is_not_stored_again_as_new():
    connection = builders.connection(builders.workspace())
    text = text_of(read_page(json.dumps([deal(number, START) for number in range(20)]).encode()))
    owner = {"workspace_id": connection.workspace_id, "connection_id": connection.pk}
    with transaction.atomic():
        first = store(text, **owner, is_new=True)
        again = store(text, **owner, is_new=True)
    assert (first.added, again.added, again.changed) == (20, 0, 0)
    assert sum(DailyResult.objects.values_list("deals", flat=True)) == 20
