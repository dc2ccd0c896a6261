"""Forms of members and invitations. Every choice is checked against what the workspace and the person's role offer."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db.models import QuerySet

from subscribers.models import Subscriber
from users.account_forms import NEW_PASSWORD
from users.lines import LineField
from users.models import Invitation, Membership, Role, User
from users.permissions import roles_to_give

MOST_OFFERED = 500  # accounts with a box each; any other is linked from its own page


class AccountsField(forms.ModelMultipleChoiceField):
    """Accounts of one workspace, with a box each for the first MOST_OFFERED and those in `shown_too`."""

    def __init__(self, accounts: QuerySet[Subscriber], shown_too: AbstractSet[int] = frozenset()):
        widget = forms.CheckboxSelectMultiple
        super().__init__(accounts, label="Accounts", required=False, widget=widget)
        offered = list(accounts.order_by("name", "id")[:MOST_OFFERED])
        missing = shown_too - {account.pk for account in offered}
        offered += accounts.filter(pk__in=missing) if missing else []
        self.offered = [account.pk for account in offered]
        self.widget.choices = [(account.pk, f"{account.name} ({account.backend_id})") for account in offered]


class ClientField(forms.ModelChoiceField):
    """One client, by name and address."""

    def label_from_instance(self, client: Membership) -> str:
        return f"{client.user} ({client.user.email})"


class InviteForm(forms.Form):
    """Whom to invite, as what."""

    email = forms.EmailField(label="E-mail address", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    name = LineField(label="Name", max_length=120, required=False, help_text="May be left empty.")
    role = forms.ChoiceField(label="Role")

    def __init__(self, *args, membership: Membership, account: Subscriber | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        roles = [(role.value, role.label) for role in roles_to_give(membership)]
        # nobody is made an owner by what happened to stand first
        choose = [("", "Choose a role")] if len(roles) > 1 else []
        self.fields["role"] = forms.ChoiceField(label="Role", choices=[*choose, *roles])
        accounts = own_accounts(membership)
        self.fields["accounts"] = AccountsField(accounts, {account.pk} if account else set())
        if account:
            self.initial = {**self.initial, "role": Role.SUBSCRIBER, "accounts": [account.pk]}

    def clean_email(self) -> str:
        return self.cleaned_data["email"].lower()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("accounts") and cleaned.get("role") not in (None, Role.SUBSCRIBER):
            self.add_error("accounts", "Only a subscriber is limited to accounts: everybody else sees all of them.")
        return cleaned


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label="Role")

    def __init__(self, *args, membership: Membership, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"] = forms.ChoiceField(
            label="Role", choices=[(role.value, role.label) for role in roles_to_give(membership)]
        )


class AccountsForm(forms.Form):
    """The accounts that a client sees."""

    def __init__(self, *args, client: Membership, **kwargs):
        super().__init__(*args, **kwargs)
        linked = set(client.accesses.values_list("subscriber_id", flat=True))
        self.accounts = AccountsField(own_accounts(client), linked)
        self.fields["accounts"] = self.accounts
        self.initial["accounts"] = list(linked)


class LinkForm(forms.Form):
    """A client of the workspace, to let them see one account more."""

    client = forms.ModelChoiceField(Membership.objects.none(), label="Client", empty_label="Choose a client")

    def __init__(self, *args, account: Subscriber, **kwargs):
        super().__init__(*args, **kwargs)
        clients = Membership.objects.filter(workspace=account.workspace_id, role=Role.SUBSCRIBER)
        clients = clients.exclude(accesses__subscriber=account).select_related("user").order_by("user__email")
        self.fields["client"] = ClientField(clients, label="Client", empty_label="Choose a client")


class JoinForm(forms.Form):
    """For whoever opens an invitation without being signed in: the same for a new person and one with an account."""

    name = LineField(label="Your name", max_length=120, required=False)
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs=NEW_PASSWORD),
        help_text="New here: choose one, at least 10 characters and not a common one. "
        "Do you have an account with this address? Then its password.",
    )

    def __init__(self, *args, invitation: Invitation, **kwargs):
        super().__init__(*args, **kwargs)
        self.person = User(email=invitation.email)
        self.fields["name"].initial = invitation.name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("password"):
            self.person.name = cleaned.get("name", "")
            try:
                validate_password(cleaned["password"], self.person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return cleaned


def own_accounts(membership: Membership) -> QuerySet[Subscriber]:
    """The accounts of the membership's workspace that still exist."""
    return Subscriber.objects.filter(workspace=membership.workspace_id, is_removed=False)
