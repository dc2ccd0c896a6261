"""Documents of trading accounts: what is refused, by which parameter, and what is never repeated."""

import pytest

from copying.contract import wire
from copying.contract.hosts import ACCOUNT_HOSTS, METASTATS, PROVISIONING, prefix_of
from copying.contract.provisioning import TradingAccount
from copying.contract.validation import Invalid, validate

NEW = {"name": "Alice", "server": "Demo", "magic": 0, "platform": "mt5", "login": "1001", "password": "secret-word"}


def problems(kind, document):
    with pytest.raises(Invalid) as refused:
        validate(kind, document)
    return {problem["parameter"] for problem in refused.value.details}


def test_a_whole_account_is_taken_and_unknown_fields_are_dropped():
    account = validate("new-trading-account", {**NEW, "application": "CopyFactory", "metadata": {"desk": 3}})
    assert (account.login, account.metadata) == ("1001", {"desk": 3})


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"server": "two\nlines"}, "server"),
        ({"magic": None}, "magic"),
        ({"login": "12a"}, "login"),
        ({"login": None}, "login"),
        ({"password": None}, "password"),
        ({"platform": "mt6"}, "platform"),
        ({"platform": None}, "platform"),
        ({"copyFactoryRoles": ["OWNER"]}, "copyFactoryRoles.0"),
        ({"metadata": {"text": "x" * 1024}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"tags": ["t"] * 51}, "tags"),
        ({"tags": ["t" * 101]}, "tags"),
        ({"symbol": "s" * 101}, "symbol"),
        ({"symbol": "two\nlines"}, "symbol"),
        ({"provisioningProfileId": "p" * 101}, "provisioningProfileId"),
        ({"slippage": -1}, "slippage"),
        ({"resourceSlots": 0}, "resourceSlots"),
        ({"manualTrades": True, "magic": 7}, "magic"),
        ({"balance": -1}, "balance"),
        ({"leverage": 1001}, "leverage"),
        ({"currency": "usd"}, "currency"),
    ],
)
def test_what_is_wrong_with_a_new_account_is_told_by_parameter(change, parameter):
    assert problems("new-trading-account", {**NEW, **change}) == {parameter}


def test_the_longest_words_are_taken():
    longest = {"tags": ["t" * 100] * 50, "symbol": "s" * 100, "provisioningProfileId": "p" * 100}
    assert validate("new-trading-account", {**NEW, **longest}).tags == longest["tags"]


def test_metadata_has_at_most_1024_characters():
    around = len('{"a":""}')
    validate("new-trading-account", {**NEW, "metadata": {"a": "x" * (1024 - around)}})
    assert problems("new-trading-account", {**NEW, "metadata": {"a": "x" * (1025 - around)}}) == {"metadata"}


@pytest.mark.parametrize(
    ("metadata", "is_stored"),
    [
        ({"a": 2**63 - 1}, True),
        ({"a": 2**63}, False),
        ({"a": -(2**63)}, True),
        ({"a": -(2**63) - 1}, False),
        ({"a": [{"b": [10**30]}]}, False),
        ({"a": [1.5, True, None, "text"]}, True),
        ({"a": "\0"}, False),
        ({"a": {"\0": 1}}, False),
    ],
)
def test_metadata_holds_what_can_be_stored(metadata, is_stored):
    if is_stored:
        assert validate("new-trading-account", {**NEW, "metadata": metadata}).metadata == metadata
    else:
        assert problems("new-trading-account", {**NEW, "metadata": metadata}) == {"metadata"}


@pytest.mark.parametrize("password", ["x" * 101, "two\nlines", 5, " "])
def test_a_refused_password_is_not_repeated(password):
    with pytest.raises(Invalid) as refused:
        validate("new-trading-account", {**NEW, "password": password})
    assert refused.value.details[0] == {**refused.value.details[0], "parameter": "password", "value": None}


def test_a_draft_needs_neither_login_nor_password():
    draft = {name: value for name, value in NEW.items() if name not in ("login", "password")}
    assert validate("new-trading-account", draft).login is None


def test_an_account_is_read_whatever_its_state():
    account = wire.decode(b'{"_id":"a","state":"SOMETHING_NEW","copyFactoryRoles":["PROVIDER"]}', TradingAccount)
    assert (account.id, account.state, account.primary_account_id) == ("a", "SOMETHING_NEW", None)


def test_every_host_has_a_prefix_of_its_own():
    assert len({prefix_of(host) for host in ACCOUNT_HOSTS}) == len(ACCOUNT_HOSTS)
    assert prefix_of(PROVISIONING) != prefix_of(METASTATS)
