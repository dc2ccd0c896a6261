"""What happened: deals, decisions, the backend's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers

from api.base import Guard
from api.fields import DecimalText, MomentField, RowSerializer, flag, number, text
from api.lists import ListView, RowView, listing_for
from reporting.models import Decision, LogRecord, Transaction
from reporting.plainly import plain_sentence
from reporting.views.decisions import DECISIONS, OUTCOMES, OWN_DECISIONS
from reporting.views.history import LOG, TRANSACTIONS
from users.listing import Listing
from users.models import Membership
from users.permissions import member_only, staff_only, subscriber_only

NAMES = ("subscriber_name", "subscriber_id", "subscriber_pk", "strategy_name", "strategy_id", "strategy_pk")


class OfRoute(RowSerializer):
    """Whose a row is. The ids of the portal are null while the backend's configuration is not mirrored yet."""

    subscriber = number(source="subscriber_pk", allow_null=True)
    subscriber_backend_id = text(source="subscriber_id")
    subscriber_name = text(allow_null=True)
    strategy = number(source="strategy_pk", allow_null=True)
    strategy_backend_id = text(source="strategy_id")
    strategy_name = text(allow_null=True)


class TransactionRow(OfRoute):
    """A deal. Money is in the currency of the subscriber's account."""

    reads = (
        *NAMES,
        "time",
        "type",
        "entry",
        "side",
        "position",
        "symbol",
        "lots",
        "price",
        "profit",
        "swap",
        "commission",
        "currency",
        "provider_commission",
        "platform_commission",
        "improvement",
        "slippage_amount",
        "slippage_bp",
        "latency_ms",
        "position_id",
        "subscriber_position_id",
        "backend_id",
    )
    backend_id = text(help_text="Its id at the copying backend.")
    time = MomentField()
    type = text()
    entry = text(allow_null=True, help_text="Whether it opens or closes; null: it does neither, or it is not known.")
    side = text(allow_null=True)
    symbol = text()
    lots = DecimalText(allow_null=True)
    price = DecimalText(allow_null=True)
    profit = DecimalText()
    swap = DecimalText()
    commission = DecimalText(allow_null=True)
    currency = text(allow_null=True)
    provider_commission = DecimalText()
    platform_commission = DecimalText()
    improvement = DecimalText()
    slippage_amount = DecimalText(allow_null=True)
    slippage_bp = DecimalText(allow_null=True)
    latency_ms = DecimalText(allow_null=True, help_text="From the provider's fill to the copy's.")
    position_id = text()
    subscriber_position_id = text()


class OfTransactions:
    """Deals of the accounts that a member may see."""

    tag, row = "History", TransactionRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": member_only}
    listing = listing_for(TRANSACTIONS, TransactionRow)

    def rows(self, membership: Membership) -> QuerySet:
        return Transaction.objects.visible_to(membership)


class Transactions(OfTransactions, ListView):
    """Every deal of the accounts one may see."""

    noun = "transactions"


class TransactionDetail(OfTransactions, RowView):
    """One deal."""

    noun = "transaction"


# --- Decisions --------------------------------------------------------------------------------------------------------
class OwnDecisionRow(OfRoute):
    """What became of one signal for an account, in plain words. Volumes are lots."""

    reads: ClassVar[tuple[str, ...]] = (
        *NAMES,
        "time",
        "outcome",
        "reason",
        "symbol",
        "subscriber_symbol",
        "side",
        "provider_lots",
        "multiplied_lots",
        "rounded_lots",
        "final_lots",
        "limit_value",
        "signal_id",
        "backend_id",
        "level",
        "text",
        "is_reconstructed",
    )
    backend_id = text(help_text="Its id at the copying backend.")
    signal = text(source="signal_id")
    time = MomentField()
    outcome = serializers.ChoiceField([option.value for option in OUTCOMES], read_only=True)
    reason = text()
    symbol = text()
    subscriber_symbol = text()
    side = text()
    final_lots = DecimalText(allow_null=True, help_text="What was placed for the subscriber.")
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence.")
    is_reconstructed = flag(help_text="Worked out from deals and settings, as the backend does not tell it.")

    def get_text(self, row: Any) -> str:
        return plain_sentence(row)


class DecisionRow(OfRoute):
    """What became of one signal on one way to one subscriber, and why. Volumes are lots, null where it ended before."""

    reads = (*OwnDecisionRow.reads, "source_strategy_id", "scaled_lots", "limited_lots", "expected_lots", "assumed")
    backend_id = text(help_text="Its id at the copying backend.")
    signal = text(source="signal_id")
    source_strategy_backend_id = text(source="source_strategy_id", help_text="The strategy whose signal it was.")
    time = MomentField()
    outcome = serializers.ChoiceField([option.value for option in OUTCOMES], read_only=True)
    reason = text()
    level = text(help_text="Where on the chain of settings it was decided; empty: nowhere.")
    symbol = text()
    subscriber_symbol = text()
    side = text()
    provider_lots = DecimalText(allow_null=True)
    scaled_lots = DecimalText(allow_null=True)
    multiplied_lots = DecimalText(allow_null=True)
    limited_lots = DecimalText(allow_null=True)
    rounded_lots = DecimalText(allow_null=True)
    final_lots = DecimalText(allow_null=True, help_text="What was placed for the subscriber.")
    limit_value = DecimalText(allow_null=True, help_text="The number of the rule that decided, in its unit.")
    text = serializers.CharField(read_only=True, help_text="What happened, as a sentence.")
    is_reconstructed = flag(help_text="Worked out from deals, log and settings, as the backend does not tell it.")
    expected_lots = DecimalText(
        allow_null=True, help_text="Of a reconstructed one: the volume by the settings of that moment; null: not known."
    )
    assumptions = serializers.SerializerMethodField(help_text="What a reconstructed one rests on, as codes.")

    def get_assumptions(self, row: Any) -> list[str]:
        return str(row.assumed).split()


class OfDecisions:
    """Decisions of the workspace."""

    tag = "History"
    guards: ClassVar[Mapping[str, Guard]] = {"GET": staff_only}
    row: ClassVar[type[RowSerializer]] = DecisionRow
    listing: ClassVar[Listing] = listing_for(DECISIONS, DecisionRow)

    def rows(self, membership: Membership) -> QuerySet:
        return Decision.objects.visible_to(membership)


class DecisionList(OfDecisions, ListView):
    """What became of every signal, and why."""

    noun = "decisions"


class DecisionDetail(OfDecisions, RowView):
    """One decision with its chain of volumes."""

    noun = "decision"


class OwnDecisions(OfDecisions, ListView):
    """For clients: what was decided for their accounts, in plain words."""

    noun = "own_decisions"
    row = OwnDecisionRow
    guards: ClassVar[Mapping[str, Guard]] = {"GET": subscriber_only}
    listing = listing_for(OWN_DECISIONS, OwnDecisionRow)


# --- The log ----------------------------------------------------------------------------------------------------------
class LogRow(OfRoute):
    """A line of the backend's trading log."""

    reads = (*NAMES, "time", "level", "message", "symbol", "side", "position_id", "open_price")
    time = MomentField()
    level = text()
    message = text()
    symbol = text()
    side = text()
    position_id = text()
    open_price = DecimalText(allow_null=True)


class LogLines(ListView):
    """What the backend wrote while copying."""

    tag, noun, row = "History", "log", LogRow
    listing = listing_for(LOG, LogRow)

    def rows(self, membership: Membership) -> QuerySet:
        return LogRecord.objects.visible_to(membership)
