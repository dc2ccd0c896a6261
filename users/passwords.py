"""Passwords that only look unlike the common ones: `Passw0rd!!` is `password` with what everybody adds."""

from __future__ import annotations

import re

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

OWN_WORDS = ("copyportal", "copytrading", "copyfactory", "metatrader")
_DISGUISE = str.maketrans({"0": "o", "1": "l", "!": "i", "3": "e", "4": "a", "@": "a", "5": "s", "$": "s", "7": "t"})
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+\Z")
_REPEATED = re.compile(r"(.{1,12}?)\1+", re.DOTALL)


class DisguisedCommonPasswordValidator(CommonPasswordValidator):
    """Refuses common passwords, and words of this product, under digits for letters, additions and repetition."""

    def validate(self, password: str, user=None) -> None:
        if any(word in self.passwords or word in OWN_WORDS for word in bare_words(password)):
            raise ValidationError(
                "This password is a common one with small changes: guessing programs try those first.",
                code="password_too_common",
            )

    def get_help_text(self) -> str:
        return "Your password can’t be a common one with small changes."


def bare_words(password: str) -> set[str]:
    """What is left of a password without what is usually done to a common one."""
    lower = password.lower()
    bare = _AROUND.sub("", lower)
    words = {lower, bare, lower.translate(_DISGUISE), bare.translate(_DISGUISE)}
    words |= {_AROUND.sub("", word) for word in words}
    repeated = {match[1] for word in words if (match := _REPEATED.fullmatch(word))}
    return words | repeated - {""}
