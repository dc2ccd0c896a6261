"""Every document of the contract has camelCase names on the wire, whatever one field of it is called."""

from __future__ import annotations

import re

import pytest

from copying.contract import accounts, documents, history, metastats, provisioning, settings, terminal
from copying.contract.history import HistoryRecord
from copying.contract.provisioning import TradingAccount
from copying.contract.settings import Document

MODULES = (accounts, documents, history, metastats, provisioning, settings, terminal)
STRUCTS = sorted(
    {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, (Document, HistoryRecord))
    },
    key=lambda struct: struct.__qualname__,
)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_names_on_the_wire_have_no_underscore_inside(struct):
    assert [name for name in struct.__struct_encode_fields__ if re.search(r"[a-z]_", name)] == []


def test_an_account_keeps_its_id_and_its_other_names():
    names = TradingAccount.__struct_encode_fields__
    assert {"_id", "connectionStatus", "copyFactoryRoles", "primaryAccountId"} <= set(names)
