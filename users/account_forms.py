"""Forms of a person's own account: password and e-mail address. Whoever is signed in still gives the password."""

from __future__ import annotations

from allauth.account import forms as allauth_forms
from allauth.account.adapter import get_adapter
from django import forms
from django.http import HttpRequest

from users import tasks
from users.links import link_for
from users.models import User

PASSWORD_HELP = "At least 10 characters, and not a common one."
NEW_PASSWORD = {"autocomplete": "new-password"}


class CurrentPasswordField(forms.CharField):
    """The password of the person who is signed in."""

    def __init__(self, **options):
        widget = forms.PasswordInput(attrs={"autocomplete": "current-password"})
        super().__init__(label="Current password", strip=False, widget=widget, max_length=1000, **options)


class ResetPasswordForm(forms.Form):
    """Asks for a link to choose a new password; does and takes the same whether or not anybody has the address."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "username"}))

    def clean_email(self) -> str:
        return self.cleaned_data["email"].lower()

    def save(self, request: HttpRequest) -> None:
        """Look for the person, and send the mail, where the sender does not wait for it."""
        tasks.send_reset_link.delay_on_commit(self.cleaned_data["email"], link_for(request, "/"))


class NewPasswordForm(allauth_forms.ResetPasswordKeyForm):
    """The new password that a reset link leads to."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        name_new_passwords(self)


class ChangePasswordForm(allauth_forms.ChangePasswordForm):
    """A new password for somebody who knows the old one."""

    oldpassword = CurrentPasswordField()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        name_new_passwords(self)

    def clean_oldpassword(self) -> str:
        return confirmed_password(self.user, self.cleaned_data["oldpassword"])


class EmailChangeForm(forms.Form):
    """Another address to sign in with."""

    email = forms.EmailField(label="New e-mail address", widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password = CurrentPasswordField(help_text="So that nobody changes it who only found your screen unlocked.")

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].lower()
        if email == self.user.email:
            raise forms.ValidationError("This is your address already.")
        return email

    def clean_password(self) -> str:
        return confirmed_password(self.user, self.cleaned_data["password"])


def confirmed_password(user: User, password: str) -> str:
    """The password, if it is the person's. Raises ValidationError: it is not, or too many were wrong."""
    if not get_adapter().reauthenticate(user, password):
        raise forms.ValidationError("This is not your password.")
    return password


def name_new_passwords(form: forms.Form) -> None:
    """Labels and help as on the other pages, instead of allauth's."""
    form.fields["password1"].label, form.fields["password1"].help_text = "New password", PASSWORD_HELP
    form.fields["password2"].label = "New password, again"
    for name in ("password1", "password2"):
        form.fields[name].widget.attrs.pop("placeholder", None)
