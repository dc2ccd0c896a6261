"""Forms of settings and of the first start. Secrets go in and never come out."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.contrib.auth.password_validation import validate_password

from users import brand
from users.lines import LineField, check_one_line
from users.models import Connection, User, Workspace
from users.permissions import billing_members

ACCENTS = [("blue", "Blue"), ("teal", "Teal"), ("violet", "Violet"), ("graphite", "Graphite")]

OWN = "own"

PRIVATE = (
    "This address lies in a private network, which connections may not lead to. Whoever runs this installation can"
    " allow it (PRIVATE_BACKENDS)."
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def zone_choices() -> list[tuple[str, str]]:
    """The zones a person would recognise: regions and UTC, without aliases like Etc/GMT+3."""
    return [
        (name, name) for name in sorted(available_timezones()) if ("/" in name and "Etc/" not in name) or name == "UTC"
    ]


class WorkspaceForm(forms.ModelForm):
    """How the workspace names itself, counts its days and adds up money."""

    name = LineField(max_length=120)
    timezone = forms.ChoiceField(
        label="Time zone",
        choices=zone_choices,
        help_text="Billing periods start at its midnight. Another zone holds for each strategy from the"
        " end of its running period on: no period is cut.",
    )
    accent = forms.ChoiceField(label="Accent colour", choices=[*ACCENTS, (OWN, "A colour of your own")])
    own_colour = forms.CharField(
        label="Your own colour",
        required=False,
        max_length=7,
        help_text="Like #0b5394, for the pages that your people and clients see, also of invitations. In the dark theme"
        " a lighter shade of it stands for text.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.accent.startswith("#"):
            self.initial.update(accent=OWN, own_colour=self.instance.accent)
        names = [name for name in self.fields if name != "own_colour"]
        names.insert(names.index("accent") + 1, "own_colour")
        self.order_fields(names)

    class Meta:
        model = Workspace
        fields = (
            "name",
            "timezone",
            "reporting_currency",
            "week_starts_monday",
            "asks_consent",
            "asks_approval",
            "accent",
            "mail_sender",
            "mail_footer",
        )
        labels = {
            "mail_sender": "Sender of mails",
            "mail_footer": "Below every mail",
            "week_starts_monday": "Weeks start on Monday",
            "reporting_currency": "Reporting currency",
            "asks_consent": "A rise of a fee waits for each client's consent",
            "asks_approval": "Closing and issuing wait for a second person",
        }
        widgets = {"mail_footer": forms.Textarea(attrs={"rows": 4})}
        help_texts = {
            "mail_sender": "The name that mails to your people and clients come from. Empty: that of the workspace.",
            "mail_footer": "Who you are, in plain text: address, register, telephone. It stands below every mail.",
            "reporting_currency": "Three letters, like USD. Totals over accounts are shown in it.",
            "asks_consent": "Until consent is recorded, a client pays by the earlier terms."
            " Counts for fees that are changed from now on.",
            "asks_approval": "Whoever closes periods or issues statements asks; another owner, manager or accountant"
            " looks at the run and approves it, or declines.",
        }

    def clean_mail_sender(self) -> str:
        sender: str = self.cleaned_data["mail_sender"]
        check_one_line(sender)
        return sender

    def clean(self) -> dict[str, Any]:
        """The colour that is stored: the one of the list, or one's own that can be read."""
        cleaned = super().clean() or {}
        if cleaned.get("accent") == OWN and "own_colour" in cleaned:
            colour = cleaned["own_colour"].strip().lower()
            try:
                brand.light_shades(brand.parsed(colour))
            except ValueError:
                self.add_error("own_colour", "Type a colour as # and six digits from 0 to f, like #0b5394.")
            except brand.UnreadableColour as error:
                self.add_error("own_colour", error.text)
            else:
                cleaned["accent"] = colour
        elif cleaned.get("own_colour") and "own_colour" in self.changed_data:
            self.add_error("own_colour", "Choose “A colour of your own” above to use this one, or leave it empty.")
        return cleaned

    def clean_reporting_currency(self) -> str:
        currency = self.cleaned_data["reporting_currency"].upper()
        if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
            raise forms.ValidationError("A currency has three letters, like USD.")
        return currency

    def clean_asks_approval(self) -> bool:
        """There has to be somebody else who can approve what one asks for."""
        asks: bool = self.cleaned_data["asks_approval"]
        if asks and not self.initial.get("asks_approval") and billing_members(self.instance).count() < 2:
            raise forms.ValidationError(
                "Only one person here may close and issue, so nobody could approve. Invite a second owner, manager or"
                " accountant under Settings > Members first."
            )
        return asks

    def clean_timezone(self) -> str:
        return str(ZoneInfo(self.cleaned_data["timezone"]))


class ConnectionForm(forms.ModelForm):
    """Where a copying backend is. Its token has a form of its own once the connection exists."""

    name = LineField(max_length=120)
    base_url = forms.URLField(
        label="Address",
        required=False,
        max_length=300,
        assume_scheme="https",
        help_text="Address of the REST contract, like https://copying.example.com. Empty: find it by the domain.",
    )

    class Meta:
        model = Connection
        fields = ("name", "base_url", "domain", "is_enabled")
        labels = {"is_enabled": "Sync this connection"}
        help_texts = {
            "domain": "Domain whose regions are looked up when no address is given.",
        }

    def clean_base_url(self) -> str:
        address = self.cleaned_data["base_url"].rstrip("/")
        parts = urlsplit(address)
        if "@" in parts.netloc:
            raise forms.ValidationError("An address has no user name or password: the token has a field of its own.")
        if parts.query or parts.fragment or "?" in address or "#" in address:
            raise forms.ValidationError("An address ends before ? and #.")
        if address != self.initial.get("base_url") and not Connection(base_url=address).may_reach_host():
            raise forms.ValidationError(PRIVATE)
        return address

    def clean_domain(self) -> str:
        domain = self.cleaned_data["domain"].strip().lower()
        if domain and not _DOMAIN.fullmatch(domain):
            raise forms.ValidationError("A domain has letters, digits, hyphens and dots, like example.com.")
        return domain

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("base_url") and not cleaned.get("domain") and "base_url" not in self.errors:
            self.add_error("base_url", "Give an address, or a domain to look one up.")
        return cleaned


class TokenForm(forms.Form):
    """A new token; what is stored is never shown."""

    token = forms.CharField(
        label="Token",
        max_length=4000,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Stored encrypted. Afterwards only its last four characters are shown.",
    )

    def clean_token(self) -> str:
        token = self.cleaned_data["token"].strip()
        if not token.isascii() or any(character.isspace() for character in token):
            raise forms.ValidationError("A token has no spaces or special characters: copy it again.")
        return token


class EditConnectionForm(ConnectionForm):
    """A connection that exists: its token is asked for again when it would go somewhere else."""

    token = forms.CharField(
        label="Token for the new address",
        max_length=4000,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Only when the address or domain changes: the stored token is never sent to another one.",
    )
    field_order = ("name", "base_url", "domain", "token", "is_enabled")
    clean_token = TokenForm.clean_token

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed_for = Connection.objects.values_list("token_destination", flat=True).get(pk=self.instance.pk)
        wanted = Connection(base_url=cleaned.get("base_url", ""), domain=cleaned.get("domain", "")).destination
        if not self.errors and wanted != typed_for and not cleaned.get("token"):
            self.add_error("token", "The address is another one: type the token for it.")
        return cleaned


class NewConnectionForm(ConnectionForm, TokenForm):
    """A connection with its token."""

    field_order = ("name", "base_url", "domain", "token", "is_enabled")


class SetupForm(forms.Form):
    """The first owner of an empty installation."""

    workspace = LineField(label="Name of your firm", max_length=120)
    name = LineField(label="Your name", max_length=120, required=False)
    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "username"}))
    password = forms.CharField(
        label="Password",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 10 characters, and not a common one.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("password"):
            person = User(email=cleaned.get("email", ""), name=cleaned.get("name", ""))
            try:
                validate_password(cleaned["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned
