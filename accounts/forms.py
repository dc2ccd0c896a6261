"""Forms of trading accounts. A password goes in and never comes out, also not into the form that comes back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from users.lines import LineField
from users.models import Connection
from users.numbers import NumberField, WholeNumberField

PLATFORMS = [("mt5", "MetaTrader 5"), ("mt4", "MetaTrader 4")]
ROLES = [
    ("SUBSCRIBER", "Subscriber: it copies"),
    ("PROVIDER", "Provider: its trades are copied"),
    ("BOTH", "Both"),
]
MOST_SLOTS, MOST_LEVERAGE, MOST_BALANCE = 100, 1000, Decimal("1000000000000")


def roles_of(choice: str) -> list[str]:
    """As the API spells them."""
    return ["PROVIDER", "SUBSCRIBER"] if choice == "BOTH" else [choice] if choice else []


class NewAccountForm(forms.Form):
    """What every way of adding an account asks. connections: those that may be chosen."""

    connection = forms.ChoiceField(label="Connection")
    name = LineField(label="Name", max_length=200, help_text="How lists show it: the client's name, for example.")
    role = forms.ChoiceField(label="Role", choices=ROLES, help_text="What it may be used for. It can be changed later.")

    def __init__(self, data: Any, *, connections: list[Connection], slots: int | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        self.connections = {str(connection.pk): connection for connection in connections}
        field = self.fields["connection"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(key, connection.name) for key, connection in self.connections.items()]
        if len(connections) == 1:
            field.widget, field.initial = forms.HiddenInput(), str(connections[0].pk)

    @property
    def chosen(self) -> Connection:
        """The connection of a valid form."""
        return self.connections[self.cleaned_data["connection"]]

    @property
    def values(self) -> dict[str, Any]:
        """Fields of NewTradingAccount but the password."""
        data = self.cleaned_data
        return {"name": data["name"], "magic": 0, "copy_factory_roles": roles_of(data["role"])}


class AtBroker(NewAccountForm):
    """An account that exists at a broker; without login and password it waits for whoever has the link."""

    platform = forms.ChoiceField(label="Platform", choices=PLATFORMS)
    server = LineField(
        label="Server",
        max_length=200,
        help_text="Exactly as the terminal shows it at the sign-in, such as Broker-Demo.",
    )
    slots = WholeNumberField(
        label="Resource slots",
        required=False,
        smallest=1,
        largest=MOST_SLOTS,
        help_text="Large accounts need more than one; each one costs. Empty: one.",
    )

    @property
    def values(self) -> dict[str, Any]:
        data = self.cleaned_data
        slots = {"resource_slots": data["slots"]} if data.get("slots") else {}
        return {**super().values, "platform": data["platform"], "server": data["server"], **slots}


class ByLoginForm(AtBroker):
    """With login and password."""

    login = forms.RegexField(
        r"[0-9]{1,18}\Z",
        label="Login",
        max_length=18,
        error_messages={"invalid": "A login has 1 to 18 digits."},
        help_text="The account's number at the broker.",
    )
    password = forms.CharField(
        label="Password",
        max_length=100,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}),
        help_text="The trading password: one that only looks cannot copy. It goes to the backend and is not kept here.",
    )
    try_anyway = forms.BooleanField(label="Try the same login and password again", required=False)

    field_order = ("connection", "name", "platform", "server", "login", "password", "role", "slots")

    @property
    def values(self) -> dict[str, Any]:
        return {**super().values, "login": self.cleaned_data["login"]}

    def ask_again(self, text: str) -> None:
        """Show the question whether the same is to be tried again."""
        self.add_error("try_anyway", text)

    @property
    def is_asked(self) -> bool:
        """Whether that question is shown."""
        return "try_anyway" in self.errors or bool(self.data.get("try_anyway"))


class ByLinkForm(AtBroker):
    """By a link that the client opens and types login and password into."""

    field_order = ("connection", "name", "platform", "server", "role", "slots")


class PaperForm(NewAccountForm):
    """A paper account: no id, no login and no password are asked for."""

    server = forms.ChoiceField(label="Kind", required=False)
    currency = forms.RegexField(
        r"[A-Za-z]{3}\Z",
        label="Currency",
        max_length=3,
        initial="USD",
        error_messages={"invalid": "A currency has three letters, like USD."},
    )
    balance = NumberField(label="Starting balance", decimals=2, most=MOST_BALANCE, is_float=True, initial="10000")
    leverage = WholeNumberField(
        label="Leverage", smallest=1, largest=MOST_LEVERAGE, initial="100", help_text="100 for 100 : 1."
    )

    field_order = ("connection", "name", "currency", "balance", "leverage", "role", "server")

    def __init__(self, data: Any, *, servers: list[str] | None = None, **options: Any) -> None:
        super().__init__(data, **options)
        field = self.fields["server"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in servers or []]

    def clean_currency(self) -> str:
        return self.cleaned_data["currency"].upper()

    @property
    def values(self) -> dict[str, Any]:
        data = self.cleaned_data
        figures = {"balance": data["balance"], "leverage": float(data["leverage"])}
        return {**super().values, "platform": "mt5", "server": data["server"], "currency": data["currency"], **figures}


class AccountRolesForm(forms.Form):
    """Roles and features of an account that is there."""

    provider = forms.BooleanField(label="Provider: strategies take their trades from it", required=False)
    subscriber = forms.BooleanField(label="Subscriber: it copies strategies", required=False)
    slots = WholeNumberField(
        label="CopyFactory slots", smallest=1, largest=MOST_SLOTS, help_text="Paid capacity for copying; usually one."
    )
    metastats = forms.BooleanField(label="Statistics (MetaStats)", required=False)
    risk = forms.BooleanField(label="History of equity (risk management)", required=False)

    @property
    def roles(self) -> list[str]:
        """As the API spells them."""
        named = {"PROVIDER": "provider", "SUBSCRIBER": "subscriber"}
        return [role for role, name in named.items() if self.cleaned_data[name]]
