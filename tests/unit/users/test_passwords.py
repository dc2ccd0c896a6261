"""Common passwords are refused under their usual disguises, and good ones are not."""

import pytest
from django.core.exceptions import ValidationError

from users.passwords import DisguisedCommonPasswordValidator


@pytest.mark.parametrize(
    "password",
    [
        "Passw0rd!!",
        "Password2026",
        "!!password!!",
        "P@ssw0rd123",
        "qwertyqwerty",
        "12345678901",
        "letmein2026!",
        "aaaaaaaaaaaa",
        "Copyportal2026!",
        "MetaTrader#1",
        "iloveyou!!!!",
        "11111111111111",
    ],
)
def test_a_common_password_is_common_in_any_dress(password):
    with pytest.raises(ValidationError, match="common"):
        DisguisedCommonPasswordValidator().validate(password)


@pytest.mark.parametrize(
    "password",
    [
        "a-long-enough-password",
        "a long harbour 41 phrase",
        "brand-new-long-1",
        "another-long-one-9",
        "x7#Kq9!vBz2m",
        "correct horse battery staple",
    ],
)
def test_other_passwords_are_left_to_the_other_rules(password):
    DisguisedCommonPasswordValidator().validate(password)
