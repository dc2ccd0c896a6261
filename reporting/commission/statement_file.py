"""A statement as a file that proves itself: every line with all that it was computed from, and a SHA-256 over all.

`tools/verify_statement.py` recomputes it without any code of the portal. The file is made anew from what is stored each
time, so it is the same each time, but for deals that changed after a line was settled: what they changed is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db import connection as database
from django.db.models import QuerySet

from reporting.commission.highwater import Mark
from reporting.commission.policy import Scheme, Scope
from reporting.models import CommissionLine, Statement, StatementItem, Transaction

FORMAT = "copyportal-statement-1"
COPIED_DEALS = ("DEAL_TYPE_BUY", "DEAL_TYPE_SELL")
ZERO = Decimal(0)
# where the step before each of these was: settled by then, newest first, with the statement that has it
_STEPS = """
SELECT line.id, line.strategy_id, coalesce(line.policy->>'basis', 'profit'),
       coalesce(line.inputs#>>'{corrects,inputs,at}', line.inputs->>'at'),
       coalesce(line.inputs#>'{corrects,inputs,after}', line.inputs->'after')::text, line.period_end, (
           SELECT min(coalesce(nullif(statement.series, ''), 'S-') || lpad(statement.number::text, 6, '0'))
           FROM reporting_statementitem item
           JOIN reporting_billingperiod period ON period.id = item.period_id
           JOIN reporting_statement statement ON statement.id = item.statement_id
           WHERE period.connection_id = line.connection_id AND period.strategy_id = line.strategy_id
             AND period.period_start = line.period_start AND period.period_end = line.period_end
             AND item.subscriber_id = line.subscriber_id AND item.currency = line.currency AND NOT item.is_void)
FROM reporting_commissionline line
WHERE line.connection_id = %s AND line.subscriber_id = %s AND line.strategy_id = ANY(%s) AND line.member_id = ''
  AND line.scheme = 'high-water-mark' AND NOT line.is_provisional
  AND coalesce(line.inputs#>'{corrects,inputs,after}', line.inputs->'after') IS NOT NULL
ORDER BY coalesce(line.inputs#>>'{corrects,inputs,at}', line.inputs->>'at')::timestamptz DESC, line.period_start DESC
"""


def statement_file(document: Statement, lines: QuerySet[CommissionLine]) -> bytes:
    """The file, JSON in UTF-8. document: a statement; lines: those it is the sum of."""
    ordered = list(lines.order_by("period_start", "strategy_id", "occurred_at", "key"))
    steps = _steps_of(document, ordered)
    content: dict[str, Any] = {
        "format": FORMAT,
        "statement": _facts(document),
        "periods": [_period(item) for item in _items(document)],
        "lines": [_line(line, document, steps) for line in ordered],
    }
    content["sha256"] = digest_of(content)
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def digest_of(content: dict[str, Any]) -> str:
    """SHA-256 over JSON with sorted keys and no blanks; `content` is without its own digest."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Decimal | None) -> str | None:
    """A number as text without an exponent; what is stored with zeros behind it keeps its value."""
    if value is None:
        return None
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _moment(value: datetime | date | None) -> str | None:
    return value.isoformat() if value else None


def _facts(document: Statement) -> dict[str, Any]:
    accepted_by = str(document.rates_accepted_by) if document.rates_accepted_by else None
    return {
        "number": document.label,
        "firm": document.parties.get("firm") or {"name": document.workspace_name},
        "client": document.parties.get("client") or {"name": document.subscriber_name},
        "account": document.subscriber_id,
        "currency": document.currency,
        "first_day": _moment(document.first_day),
        "last_day": _moment(document.last_day),
        "due_on": _moment(document.due_on),
        "issued_at": _moment(document.issued_at),
        "amount": _plain(document.amount),
        "tax": {**document.parties.get("tax", {}), "rate": _plain(document.tax_rate), "amount": _plain(document.tax)},
        "total": _plain(document.total),
        "reporting": {
            "currency": document.reporting_currency,
            "amount": _plain(document.reporting_amount),
            "rate_day": _moment(document.rate_day),
            "old_rates_accepted": _moment(document.rates_accepted_at),
            "accepted_by": accepted_by,
        },
    }


def _items(document: Statement) -> QuerySet[StatementItem]:
    return document.items.select_related("period").order_by("period__period_start", "strategy_name", "pk")


def _period(item: StatementItem) -> dict[str, Any]:
    return {
        "strategy": item.strategy_name,
        "strategy_id": item.period.strategy_id,
        "scheme": item.scheme,
        "start": _moment(item.period.period_start),
        "end": _moment(item.period.period_end),
        "lines": item.lines,
        "amount": _plain(item.amount),
    }


def _line(line: CommissionLine, document: Statement, steps: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    content = {
        "strategy_id": line.strategy_id,
        "period_start": _moment(line.period_start),
        "period_end": _moment(line.period_end),
        "key": line.key,
        "occurred_at": _moment(line.occurred_at),
        "scheme": line.scheme,
        "policy": line.policy,
        "inputs": line.inputs,
        "rate": _plain(line.rate),
        "exact_amount": _plain(line.exact_amount),
        "amount": _plain(line.amount),
        "currency": line.currency,
        "reporting": _reporting(line),
    }
    inputs = (line.inputs.get("corrects") or {}).get("inputs") or line.inputs
    if line.scheme == Scheme.HIGH_WATER_MARK and "before" in inputs:
        content["previous"] = _previous(line, inputs, steps)
        if line.policy.get("scope") != Scope.CLIENT:  # a mark of the whole client adds up deals of several strategies
            deals = _deals_of(line, document, inputs)
            content["deals"] = deals
            total = sum((Decimal(deal["net"]) for deal in deals), ZERO)
            content["changed_since"] = _plain(total - Decimal(inputs["result"]))
            if (more := len(deals) - inputs["deals"]) > 0:  # a late deal may have a result of nothing
                content["deals_since"] = more
    return content


def _reporting(line: CommissionLine) -> dict[str, Any] | None:
    if line.reporting_amount is None:
        return None
    return {
        "currency": line.reporting_currency,
        "rate": _plain(line.reporting_rate),
        "source": line.reporting_source,
        "day": _moment(line.reporting_day),
        "amount": _plain(line.reporting_amount),
    }


def _steps_of(document: Statement, lines: Iterable[CommissionLine]) -> Sequence[tuple[Any, ...]]:
    """Settled steps of the account's marks, newest first: see `_STEPS`."""
    strategies = sorted({line.strategy_id for line in lines if line.scheme == Scheme.HIGH_WATER_MARK})
    if not strategies:
        return []
    with database.cursor() as cursor:
        cursor.execute(_STEPS, [document.connection_id, document.subscriber_id, strategies])
        return [
            (pk, strategy_id, basis, datetime.fromisoformat(at), json.loads(after), end, number)
            for pk, strategy_id, basis, at, after, end, number in cursor
        ]


def _previous(line: CommissionLine, inputs: dict[str, Any], steps: Sequence[tuple[Any, ...]]) -> dict[str, Any] | None:
    """The step that a step goes on from: the newest that ended by its beginning, as corrections left it then.

    A step that was computed before a correction goes on from what stood there before: that is looked for too.
    """
    begins, basis = datetime.fromisoformat(inputs["from"]), line.policy.get("basis", "profit")
    own = [step for step in steps if step[1] == line.strategy_id and step[2] == basis and step[3] <= begins]
    newest = [step for step in own if step[3] == own[0][3] and step[0] != line.pk]
    before = Mark.parse(inputs["before"])
    for pk, _, _, at, after, _, number in [*(s for s in newest if Mark.parse(s[4]) == before), *newest]:
        return {"statement": number, "at": at.isoformat(), "after": after, "line": pk}
    return None


def _deals_of(line: CommissionLine, document: Statement, inputs: dict[str, Any]) -> list[dict[str, str]]:
    """The copied deals of the span that a step measures, as they are known now."""
    rows = Transaction.objects.filter(
        workspace_id=document.workspace_id,
        connection_id=line.connection_id,
        subscriber_id=line.subscriber_id,
        strategy_id=line.strategy_id,
        type__in=COPIED_DEALS,
        time__gte=inputs["from"],
        time__lt=inputs["at"],
    ).exclude(position_id="")
    return [
        {"id": backend_id, "time": time.isoformat(), "net": _plain(profit + swap + (commission or ZERO)) or "0"}
        for backend_id, time, profit, swap, commission in rows.order_by("time", "backend_id").values_list(
            "backend_id", "time", "profit", "swap", "commission"
        )
    ]
