"""The form of an address that is told of events."""

from __future__ import annotations

from urllib.parse import urlsplit

from django import forms

from users.event_sending import is_plain_allowed
from users.events import KINDS


class EndpointForm(forms.Form):
    """Its name, address, and which events it is told of."""

    name = forms.CharField(label="Name", max_length=120, help_text="What it is, such as “Accounting”.")
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="https://… of your program. It is told by POST; addresses in private networks are not reached.",
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off"}),
    )
    kinds = forms.MultipleChoiceField(
        label="Events",
        required=False,
        choices=[(kind, f"{words} ({kind})") for kind, words in KINDS.items()],
        widget=forms.CheckboxSelectMultiple,
        help_text="Nothing ticked: all of them, also those that come with later versions.",
    )

    def clean_url(self) -> str:
        url = self.cleaned_data["url"].strip()
        try:
            parts = urlsplit(url)
            has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError as error:
            raise forms.ValidationError("This is no address.") from error
        if not has_host or parts.scheme not in ("http", "https"):
            raise forms.ValidationError("Type the whole address, like https://example.com/events.")
        if parts.username or parts.password:
            raise forms.ValidationError("Leave name and password out: your program knows us by the signature.")
        if any(character.isspace() or not character.isprintable() for character in url):
            raise forms.ValidationError("An address has no blanks in it.")
        if parts.scheme == "http" and not is_plain_allowed(url):
            raise forms.ValidationError("Events are told over https only.")
        return url


class EditEndpointForm(EndpointForm):
    """The same for one that exists."""

    is_enabled = forms.BooleanField(label="Tell it of events", required=False)
