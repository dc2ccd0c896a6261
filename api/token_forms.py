"""The form of a new access token."""

from __future__ import annotations

from datetime import timedelta

from django import forms

from api.models import ApiScope
from users.account_forms import CurrentPasswordField, confirmed_password
from users.lines import LineField
from users.models import STAFF_ROLES, Membership
from users.permissions import can_own

LASTS = {"30": "30 days", "90": "90 days", "365": "One year", "7": "One week"}
OWN = "person"


class ApiTokenForm(forms.Form):
    """Which program it is, what it may, for how long, and in whose place."""

    name = LineField(max_length=80, help_text="Which program it is for, such as “Month end report”.")
    access = forms.ChoiceField(
        label="It may",
        choices=[(ApiScope.READ, "read"), (ApiScope.WRITE, "read, and change whatever the role may change")],
        initial=ApiScope.READ,
        required=False,
        help_text="A program that only reports needs to read. What a program changes is noted with the token’s name.",
    )
    acts_as = forms.ChoiceField(
        label="It acts",
        help_text="In your place it may what you may, as long as you are a member. A service stays when people go.",
    )
    days = forms.ChoiceField(label="It works for", choices=list(LASTS.items()), initial="90")
    password = CurrentPasswordField(help_text="So that nobody makes one who only found your screen unlocked.")

    def __init__(self, *args, membership: Membership, **kwargs):
        super().__init__(*args, **kwargs)
        self.membership = membership
        choices = [(OWN, "in my place")]
        if not membership.is_staff_role:
            del self.fields["access"]  # what clients change they change on their pages
        if can_own(membership):
            choices += [(role.value, f"as a service with the role {role.label.lower()}") for role in STAFF_ROLES]
            self.fields["acts_as"].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields["acts_as"]

    def clean_password(self) -> str:
        return confirmed_password(self.membership.user, self.cleaned_data["password"])

    @property
    def scope(self) -> str:
        """What it may; to read where nothing was said."""
        return self.cleaned_data.get("access") or ApiScope.READ

    @property
    def service_role(self) -> str:
        """The role of a service; empty: it is a person's."""
        return self.cleaned_data.get("acts_as", OWN).removeprefix(OWN)

    @property
    def lasts(self) -> timedelta:
        return timedelta(days=int(self.cleaned_data["days"]))
