"""Forms that take the answer of a passkey. It comes from the browser's script, or from whoever plays one."""

from __future__ import annotations

from typing import Any

from allauth.mfa.internal.flows.add import validate_can_add_authenticator
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.core.exceptions import ValidationError
from fido2.webauthn import AuthenticationResponse, RegistrationResponse

from users.lines import LineField

WRONG_PASSKEY = "This passkey is not known here, or the page was open for too long. Try again."
UNREADABLE = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class AnswerField(forms.JSONField):
    """The answer of a passkey, as JSON; what cannot be read as one is refused before anything looks into it."""

    def __init__(self, kind: type[AuthenticationResponse] | type[RegistrationResponse], **options: Any) -> None:
        super().__init__(label="Passkey", widget=forms.HiddenInput, **options)
        self.kind = kind

    def to_python(self, value: Any) -> Any:
        answer = super().to_python(value)
        if answer is None:
            return None
        try:
            self.kind.from_dict(answer)
        except UNREADABLE as error:
            raise ValidationError(WRONG_PASSKEY) from error
        return answer


class PasskeyWords:
    """Says in our words that a passkey is wrong."""

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()  # type: ignore[misc]  # allauth's forms follow
        except ValidationError as error:
            raise ValidationError(WRONG_PASSKEY) from error


class SecondStepForm(PasskeyWords, AuthenticateWebAuthnForm):
    """In the place of a code, after the password."""

    credential = AnswerField(AuthenticationResponse)


class PasskeySignInForm(PasskeyWords, LoginWebAuthnForm):
    """In the place of the password."""

    credential = AnswerField(AuthenticationResponse)


class PasskeyConfirmForm(PasskeyWords, ReauthenticateWebAuthnForm):
    """Who is signed in shows again that it is them."""

    credential = AnswerField(AuthenticationResponse)


class PasskeyNameForm(AddWebAuthnForm):
    """A new passkey, as the browser made it."""

    name = LineField(label="Name", max_length=60, help_text="To know it again, such as the device that keeps it.")
    credential = AnswerField(RegistrationResponse)
    passwordless = None  # every passkey of ours can be

    def clean(self) -> dict:
        validate_can_add_authenticator(self.user)
        try:
            return super().clean()
        except ValidationError as error:
            raise ValidationError(WRONG_PASSKEY) from error
