"""External signals and webhooks of a strategy: forms, and writes that each are one call of the backend and noted.

A signal opens and closes trades at every subscriber at once. Numbers are checked by the contract's own validation.
"""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django import forms

from copying.client import Client, ClientError
from copying.contract import wire
from copying.contract.documents import ExternalSignal, WebhookAddress
from copying.contract.validation import Invalid, validate
from editing.backend import NotDone, Unconfirmed
from editing.problems import in_words
from editing.widgets import plain_number
from strategies.models import Strategy
from strategies.outcomes import SignalOutcome, outcome_of
from users.models import User
from users.numbers import NumberField, WholeNumberField
from users.services import record_audit

TYPES = (
    ("POSITION_TYPE_BUY", "Buy"),
    ("POSITION_TYPE_SELL", "Sell"),
    ("ORDER_TYPE_BUY_LIMIT", "Buy limit"),
    ("ORDER_TYPE_SELL_LIMIT", "Sell limit"),
    ("ORDER_TYPE_BUY_STOP", "Buy stop"),
    ("ORDER_TYPE_SELL_STOP", "Sell stop"),
)
ID_LETTERS = string.ascii_lowercase + string.digits
STEP = 1e-8
MOST_DECISIONS = 1000


def lots_field(**options: Any) -> NumberField:
    """A volume: more than nothing, with as many decimals as the ledger keeps."""
    return NumberField(decimals=8, is_positive=True, is_float=True, **options)


def price_field(**options: Any) -> NumberField:
    """A price or a stop, where 0 is none."""
    return NumberField(decimals=10, is_float=True, **options)


class SignalForm(forms.Form):
    """A new external signal; its fields have the wire's names, so that problems find them."""

    symbol = forms.CharField(label="Symbol", max_length=64, help_text="As the provider's broker calls it.")
    type = forms.ChoiceField(label="What", choices=TYPES)
    volume = lots_field(label="Volume, lots")
    openPrice = price_field(label="Price", required=False, help_text="Of a pending order.")
    stopLoss = price_field(label="Stop loss", required=False)
    takeProfit = price_field(label="Take profit", required=False)
    magic = WholeNumberField(label="Expert id", required=False, help_text="Seen by the filter of expert ids.")

    def document(self, now: datetime) -> dict[str, Any]:
        """The signal as it is sent."""
        filled = {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
        return filled | {"time": wire.format_time(now)}

    def is_accepted(self, document: dict[str, Any]) -> bool:
        """Whether the contract accepts it; problems stand at their fields."""
        try:
            validate("external-signal", document)
        except Invalid as error:
            self.attach(error.details)
        return not self.errors

    def attach(self, details: list[dict[str, Any]]) -> None:
        """Put problems of the contract or of a backend at their fields."""
        for detail in details:
            name = detail.get("parameter") if detail.get("parameter") in self.fields else None
            self.add_error(name, in_words(str(detail.get("message", "is not accepted")), None))


class Lines(forms.Textarea):
    """A text of several lines that says what kind it is, as other inputs do."""

    input_type = "lines"


class WebhookForm(forms.Form):
    """A new webhook."""

    magic = WholeNumberField(label="Expert id", required=False, help_text="Given to every signal that comes this way.")
    mapping = forms.CharField(
        label="Symbols under another name",
        required=False,
        max_length=4000,
        widget=Lines(attrs={"rows": 2, "placeholder": "BTCUSDT = BTCUSD"}),
        help_text="One on a line: the name that is posted = the name of the signal.",
    )

    ignoreRepeatsInSeconds = WholeNumberField(
        label="Ignore the same alert for, seconds",
        required=False,
        smallest=0,
        largest=86_400,
        help_text="An identical post within this time is refused. Empty: every post counts.",
    )

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{**options, "auto_id": "webhook_%s"})  # the page has another form with these names

    def clean_mapping(self) -> list[dict[str, str]]:
        pairs = []
        for line in self.cleaned_data["mapping"].splitlines():
            if not line.strip():
                continue
            name, sign, other = (part.strip() for part in line.partition("="))
            if not (name and sign and other):
                raise forms.ValidationError(f"“{line.strip()[:60]}” needs a name on both sides of the =.")
            pairs.append({"from": name, "to": other})
        return pairs

    def document(self) -> dict[str, Any]:
        """The webhook as it is sent."""
        settings = {"magic": self.cleaned_data["magic"], "symbolMapping": self.cleaned_data["mapping"]}
        settings["ignoreRepeatsInSeconds"] = self.cleaned_data["ignoreRepeatsInSeconds"]
        return {name: value for name, value in settings.items() if value not in (None, [])}


def note(strategy: Strategy, by: User | None, action: str, now: datetime, **details: Any) -> None:
    """Who did what to which strategy's signals."""
    record_audit(strategy.workspace, user=by, action=action, subject=strategy.name, details=details, now=now)


@contextmanager
def noted(
    strategy: Strategy,
    action: str,
    details: dict[str, Any],
    *,
    by: User | None,
    now: datetime,
    is_done: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Around one write at the backend: notes it with the details, also where its answer was lost.

    is_done: looks at the backend whether it was carried out; None: that cannot be seen. Raises the client's errors
    where it was not carried out, Unconfirmed where that is not known; the latter is noted as not confirmed.
    """
    try:
        yield
    except ClientError as error:
        if not error.may_be_done:
            raise
        if not _can_be_seen(is_done):
            note(strategy, by, f"{action}: not confirmed", now, **details)
            raise Unconfirmed(error.text) from error
    note(strategy, by, action, now, **details)


def _can_be_seen(is_done: Callable[[], bool] | None) -> bool:
    try:
        return is_done is not None and is_done()
    except ClientError:
        return False  # the answer to the question was lost as well


def id_of_form(strategy: Strategy, token: str) -> str:
    """The id of the signal that a form sends: the same form sent again is the same signal to the backend."""
    if not token:
        return "".join(secrets.choice(ID_LETTERS) for _ in range(8))
    digest = hashlib.sha256(f"{strategy.pk} {token}".encode()).digest()
    return "".join(ID_LETTERS[byte % len(ID_LETTERS)] for byte in digest[:8])


def send_signal(
    strategy: Strategy, document: dict, *, client: Client, by: User | None, now: datetime, token: str = ""
) -> str:
    """Open at every subscriber what the document says; returns the signal's id. Raises what `noted` raises.

    token: of the form; the backend takes what is sent with it again for the same signal.
    """
    signal_id = id_of_form(strategy, token)

    def is_open() -> bool:
        return find_signal(strategy, signal_id, client=client) is not None

    details = {"signal": signal_id} | document
    with noted(strategy, "signal sent", details, by=by, now=now, is_done=is_open):
        client.put_external_signal(strategy.backend_id, signal_id, document)
    return signal_id


def outcome_so_far(signal_id: str, *, client: Client) -> SignalOutcome:
    """What the backend has decided of a signal by now; nothing where it tells no decisions, or not yet."""
    try:
        page = client.decisions_page(signal_id=signal_id, limit=MOST_DECISIONS)
    except ClientError:
        return outcome_of(())  # the signal is sent whatever becomes of this question
    return outcome_of((decision.outcome, decision.reason) for decision in page.items)


def find_signal(strategy: Strategy, signal_id: str, *, client: Client) -> ExternalSignal | None:
    """An open signal; None: it was closed meanwhile."""
    signals = client.external_signals(strategy.backend_id)
    return next((signal for signal in signals if signal.id == signal_id), None)


def change_signal(
    strategy: Strategy,
    signal: ExternalSignal,
    *,
    client: Client,
    by: User | None,
    now: datetime,
    **changes: float | None,
) -> None:
    """Another stop loss, take profit (None: none) or volume of an open signal. Raises what `noted` raises."""
    document = wire.to_wire(signal)
    document.pop("id", None)
    document |= changes | {"updateTime": wire.format_time(now)}
    written = {name: value for name, value in document.items() if value is not None}

    def is_changed() -> bool:
        current = find_signal(strategy, signal.id, client=client)
        values = {} if current is None else wire.to_wire(current)
        return bool(values) and all(values.get(name) == value for name, value in changes.items())

    with noted(strategy, "signal changed", {"signal": signal.id} | changes, by=by, now=now, is_done=is_changed):
        client.put_external_signal(strategy.backend_id, signal.id, written)


def close_signal(
    strategy: Strategy, signal: ExternalSignal, volume: float | None, *, client: Client, by: User | None, now: datetime
) -> float:
    """Close a part of a signal, or all of it (None, or its whole volume); returns what stays open, in lots.

    Raises NotDone for more than is open, and what `noted` raises.
    """
    left = 0.0 if volume is None else round(signal.volume - volume, 8)
    if left < -STEP:
        open_now = plain_number(signal.volume)
        text = f"Nothing was closed: {open_now} lots of it are open. Close those, or fewer."
        raise NotDone(text, is_refusal=True)
    if left > STEP:
        change_signal(strategy, signal, client=client, by=by, now=now, volume=left)
        return left

    def is_closed() -> bool:
        return find_signal(strategy, signal.id, client=client) is None

    with noted(strategy, "signal closed", {"signal": signal.id}, by=by, now=now, is_done=is_closed):
        client.remove_external_signal(strategy.backend_id, signal.id, time=now)
    return 0.0


def create_webhook(
    strategy: Strategy, document: dict, *, client: Client, by: User | None, now: datetime
) -> WebhookAddress:
    """An address that signals can be posted to. Who has it may trade: it is written into no log."""
    details: dict[str, Any] = {}
    with noted(strategy, "webhook created", details, by=by, now=now):
        webhook = client.create_webhook(strategy.backend_id, document)
        details["hint"] = webhook.id[-4:]
    return webhook


def remove_webhook(strategy: Strategy, webhook_id: str, *, client: Client, by: User | None, now: datetime) -> None:
    """What is posted there is refused from now on."""

    def is_removed() -> bool:
        return webhook_id not in {webhook.id for webhook in client.webhooks(strategy.backend_id)}

    with noted(strategy, "webhook removed", {"hint": webhook_id[-4:]}, by=by, now=now, is_done=is_removed):
        client.remove_webhook(strategy.backend_id, webhook_id)
