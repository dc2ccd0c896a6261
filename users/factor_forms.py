"""Forms that take a code. Guesses are slowed down per person and source; a code counts once."""

from __future__ import annotations

from allauth.core import context
from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from django import forms
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from fido2.webauthn import AuthenticationResponse

from users import throttle
from users.account_forms import confirmed_password
from users.adapter import KNOWN_DEVICE, source_of, too_many
from users.audit import record_personal
from users.models import Role, User
from users.passkey_forms import AnswerField, PasskeyConfirmForm

USED_FOR_S = 180  # longer than a code is taken, the clocks' difference included
WRONG_PER_HOUR = 60  # of one account from unknown browsers, of which there can be many: somebody has the password
CODE = {"autocomplete": "one-time-code", "inputmode": "numeric"}
CODE_HELP = "Six digits from the app, or one of your recovery codes."


class CodeField(forms.CharField):
    """A code of the app, or a recovery code."""

    def __init__(self, **options):
        super().__init__(label="Code", max_length=20, widget=forms.TextInput(attrs=CODE), **options)


class CodeForm(AuthenticateForm):
    """The second step of a sign-in."""

    code = CodeField(help_text=CODE_HELP)

    def clean_code(self) -> str:
        with counted_try(self.user), transaction.atomic():
            User.objects.select_for_update().get(
                pk=self.user.pk
            )  # a recovery code counts once, however often it is sent
            code = super().clean_code()
            use_once(self.user, self.authenticator, code)
        return code


class FirstCodeForm(ActivateTOTPForm):
    """Shows that the app works before it is relied on."""

    code = CodeField(help_text="Six digits that the app shows now.")

    def __init__(self, *args, **kwargs):
        """The key stays the same until it is in use: the page may be loaded twice, in two tabs or ahead of a click."""
        session = context.request.session
        key = session.get(SECRET_SESSION_KEY)
        super().__init__(*args, **kwargs)
        if key:
            self.secret = session[SECRET_SESSION_KEY] = key

    def clean_code(self) -> str:
        with counted_try(self.user):
            return super().clean_code()


class ConfirmForm(forms.Form):
    """Who is signed in shows again that it is them: by the password, or by a code if they have a second factor."""

    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=1000,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    code = CodeField(required=False, help_text=CODE_HELP)
    credential = AnswerField(AuthenticationResponse, required=False)

    def __init__(self, *args, user: User, takes_code: bool, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        if not takes_code:
            del self.fields["code"]

    def clean_password(self) -> str:
        password = self.cleaned_data["password"]
        return confirmed_password(self.user, password) if password else ""

    def clean_code(self) -> str:
        code = self.cleaned_data["code"]
        if code:
            form = CodeForm({"code": code}, user=self.user)
            if not form.is_valid():
                raise ValidationError(form.errors["code"])
            form.save()
        return code

    def clean_credential(self) -> dict | None:
        """The answer of a passkey."""
        credential = self.cleaned_data["credential"]
        if credential:
            form = PasskeyConfirmForm({"credential": self.data["credential"]}, user=self.user)
            if not form.is_valid():
                raise ValidationError(form.errors["credential"])
            form.save()
        return credential

    def clean(self) -> dict:
        cleaned = super().clean() or {}
        if not self.errors and not any(cleaned.values()):
            raise ValidationError("Type your password, or a code." if "code" in self.fields else "Type your password.")
        return cleaned


class RolesForm(forms.Form):
    """The roles that need a second factor."""

    roles = forms.MultipleChoiceField(
        label="Roles that need a second factor",
        choices=Role.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


class counted_try:  # used as a function
    """A try with a code. Inside, ValidationError counts as wrong. Raises ValidationError: they have to wait."""

    def __init__(self, user: User):
        self.user, self.now = user, timezone.now()
        self.account, self.source = f"code of {user.pk}", source_of(context.request, user.email)

    def __enter__(self) -> None:
        wait_s = throttle.begin_attempt(self.account, self.source, network=None, now=self.now)
        if wait_s:
            raise ValidationError(too_many(wait_s).replace("passwords", "codes"))
        is_known = self.source.startswith(KNOWN_DEVICE)
        if not is_known and not throttle.may_act(
            "codes", self.account, limit=WRONG_PER_HOUR, window_s=3600, now=self.now
        ):
            raise ValidationError("Too many wrong codes were tried. Use a browser in which you signed in before.")

    def __exit__(self, kind: type | None, error: object, trace: object) -> None:
        if kind is None:
            throttle.forgive_attempt(self.account, self.source, network=None, now=self.now)
        elif issubclass(kind, ValidationError):
            record_personal(self.user, "second factor failed")


def use_once(user: User, factor: Authenticator, code: str) -> None:
    """Raises ValidationError: the app's code was used before. Recovery codes are crossed out by themselves."""
    if factor.type != Authenticator.Type.TOTP:
        return
    if not cache.add(f"code-used:{user.pk}:{normalize_user_code(code)}", 1, timeout=USED_FOR_S):
        raise ValidationError("This code was used already. Wait for the app's next one.")
