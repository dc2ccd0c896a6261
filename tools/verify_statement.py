"""Recomputes a statement from its own downloaded file, and says whether every figure follows from its inputs.

    python verify_statement.py S-000012.json [S-000011.json ...]

It needs nothing but Python 3.11, and none of the portal's code. It reads from top to bottom, as it checks:

1. the file is whole: its SHA-256 is that of its content;
2. each line: its amount follows from its inputs, rate and policy, rounded once, half up;
3. each step of a high-water mark begins where the step before it ended, also across statements: a wrong mark that is
   carried on would be the same wrong twice, and no line alone would show it;
4. sums: periods are the sums of their lines, the statement that of its periods, tax and conversions follow.

With files of earlier statements the marks are followed into them. Exit status: 0 agrees, 1 does not, 2 cannot tell.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

FORMAT = "copyportal-statement-1"
# Enough digits for products of ledger numbers without rounding; quotients are cut at the 50th digit.
EXACT = Context(prec=50, rounding=ROUND_HALF_UP)
STORED, RATE = Decimal("1e-17"), Decimal("1e-10")  # exact amounts have 18 digits behind the point, rates ten
LIMITS = {"minimum-fee": ("joining-fee", "minimum-fee", "fee-cap"), "fee-cap": ("joining-fee", "fee-cap")}
# ISO 4217: currencies whose smallest unit is not the hundredth
NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
DIGITS = dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3) | {"CLF": 4, "UYW": 4}
DIGITS |= dict.fromkeys(NO_DIGITS.split(), 0)
ZERO, YEAR_S, moment = Decimal(0), Decimal(365 * 86_400), datetime.fromisoformat
PERIOD_KEY = "period"  # the step that ends a billing period; steps at withdrawals and changes of terms have other keys
QUANTITIES = {"lots-traded": "lots", "lots-won": "lots", "amount-traded": "amount", "amount-won": "result"}


class Disagreement(Exception):
    """A figure does not follow from what it is said to be computed from."""


class CannotCheck(Exception):
    """The file says something that this program does not know."""


def main(paths: list[str]) -> int:
    """Check the first file, with the others as earlier statements; print what came of it."""
    try:
        document, *earlier = [read_file(path) for path in paths]
        problems, notes = check(document, earlier)
    except (OSError, CannotCheck, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        print(f"It cannot be checked: {type(error).__name__}: {error}")
        return 2
    statement, lines = document["statement"], len(document["lines"])
    for text in [*(f"note: {note}" for note in notes), *(f"WRONG: {problem}" for problem in problems)]:
        print(text)
    total = f"{statement['total']} {statement['currency']}"
    outcome = f"{len(problems)} figures do not agree" if problems else f"everything agrees, the total is {total}"
    print(f"{statement['number']}: {lines} lines recomputed, {outcome}.")
    return 1 if problems else 0


def read_file(path: str) -> dict:
    """The content of a downloaded file."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CannotCheck(f"{path} is no file of a statement in the form {FORMAT}")
    return document


def check(document: dict, earlier: list[dict]) -> tuple[list[str], list[str]]:
    """(what is wrong, what a reader should know)."""
    problems, notes = [], []
    for content in (document, *earlier):
        if content.get("sha256") != digest_of(content):
            number = content["statement"]["number"]
            problems.append(f"the SHA-256 of {number} is not that of its content: it was changed")
    for number, line in enumerate(document["lines"], start=1):
        try:
            check_line(line, document, notes, number)
        except (Disagreement, KeyError, TypeError, ValueError, ArithmeticError) as error:
            what = error if isinstance(error, Disagreement) else f"unreadable, {error!r}"
            problems.append(f"{name_of(number, line)}: {what}")
    problems += check_repetitions(document["lines"]) + check_chain(document, earlier, notes)
    return problems + check_periods(document) + check_totals(document), notes


def digest_of(document: dict) -> str:
    """SHA-256 over everything but itself: JSON with sorted keys, no blanks, UTF-8."""
    content = {key: value for key, value in document.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def inputs_of(line: dict) -> dict:
    """What a line was computed from: of one that corrects another, the corrected inputs."""
    return (line["inputs"].get("corrects") or {}).get("inputs") or line["inputs"]


def name_of(number: int, line: dict) -> str:
    """How a line is named: its place in the file, what it is for, its period."""
    return f"line {number} ({line['strategy_id']}, {line['key']}, period from {line['period_start'][:10]})"


# --- 2. One line ------------------------------------------------------------------------------------------------------
def check_line(line: dict, document: dict, notes: list[str], number: int) -> None:
    """Raises Disagreement where its amounts do not follow from its inputs."""
    expect("currency", line["currency"], document["statement"]["currency"])
    corrected = line["inputs"].get("corrects")
    with localcontext(EXACT):
        if corrected is None:
            exact = exact_amount(line, line["key"], line["inputs"])
            amount = rounded(exact, line["currency"])
            expect("exact amount", line["exact_amount"], exact, STORED)
            start, at, end = (moment(line[name]) for name in ("period_start", "occurred_at", "period_end"))
            if not start <= at < end:
                raise Disagreement(f"it is of {line['occurred_at']}, which is not in its period")
        else:  # what is owed after all, less what had been booked
            inputs = corrected["inputs"]
            owed = rounded(exact_amount(line, corrected["key"], inputs), line["currency"]) if inputs else ZERO
            amount = owed - Decimal(corrected["booked"])
        expect("amount", line["amount"], amount)
        if "list_rate" in (policy := line["policy"]):  # the rate that was agreed on, less a discount
            rate = Decimal(policy["list_rate"]) * (1 - Decimal(policy["discount"]))
            expect("rate", line["rate"], rate.quantize(RATE))
        check_deals(line, notes, number)
        if converted := line.get("reporting"):  # at the rate that is kept with the line
            amount = rounded(Decimal(line["amount"]) * Decimal(converted["rate"]), converted["currency"])
            expect("amount in " + converted["currency"], converted["amount"], amount)


def exact_amount(line: dict, key: str, inputs: dict) -> Decimal:
    """What the scheme charges for the inputs, before rounding."""
    scheme, rate = line["scheme"], Decimal(line["rate"])
    if scheme in QUANTITIES:  # rate x lots, trade value or result of one deal
        if (quantity := Decimal(inputs[QUANTITIES[scheme]])) < 0:
            raise Disagreement(f"a deal of {quantity} is charged")
        return rate * quantity
    if scheme == "flat-fee":  # rate x days / days of the whole period, of each period
        return sum((rate * days / Decimal(whole) for days, whole in counted_days(inputs)), ZERO)
    if scheme == "high-water-mark":
        return mark_step(line, key, inputs)
    if scheme == "management-fee":  # rate x equity / 365 of each day
        return sum((rate * max(ZERO, Decimal(value)) / 365 for _, value in inputs["days"]), ZERO)
    if scheme in ("joining-fee", "minimum-fee", "fee-cap"):  # the rate, by days of periods; less fees that it limits
        parts = inputs.get("by_period") or [[inputs.get("days", 1), inputs.get("days_of_period", 1)]]
        return sum((rate * days / Decimal(whole) for days, whole in parts), ZERO) - Decimal(inputs.get("fees", 0))
    raise CannotCheck(f"the scheme “{scheme}” is newer than this program")


def counted_days(inputs: dict) -> list:
    """[days, days of the whole period] of a fixed fee, first and last day included; several by periods agreed on."""
    stretches = inputs.get("stretches") or [[inputs["first_day"], inputs["last_day"]]]
    days = sum((date.fromisoformat(last) - date.fromisoformat(first)).days + 1 for first, last in stretches)
    expect("days", inputs["days"], days)
    parts = inputs.get("by_period") or [[days, inputs["days_of_period"]]]
    expect("days by period", sum(part for part, _ in parts), days)
    for part, whole in [*parts, [days, inputs["days_of_period"]]]:
        if not 0 < part <= whole:
            raise Disagreement(f"{part} days of a period of {whole} days are charged")
    return parts


def check_deals(line: dict, notes: list[str], number: int) -> None:
    """A step of a mark lists the deals whose results it adds up; what changed after it was settled is said apart."""
    if "deals" not in line:
        return
    inputs = inputs_of(line)
    total = sum((Decimal(deal["net"]) for deal in line["deals"]), ZERO)
    changed = Decimal(line["changed_since"])
    expect("sum of its deals", total - changed, Decimal(inputs["result"]))
    if not changed:
        expect("number of deals", len(line["deals"]) - line.get("deals_since", 0), inputs["deals"])
    for deal in line["deals"]:
        if not moment(inputs["from"]) <= moment(deal["time"]) < moment(inputs["at"]):
            raise Disagreement(f"deal {deal['id']} of {deal['time']} is not in the span that is measured")
    if changed:
        notes.append(f"{name_of(number, line)}: its deals changed by {changed} after it was settled: see later lines")


def check_repetitions(lines: list[dict]) -> list[str]:
    """A line is there once, and a deal is charged once by a scheme."""
    problems, known = [], {}
    for number, line in enumerate(lines, start=1):
        transaction = line["inputs"].get("transaction")
        what = ("deal", transaction) if transaction else (line["period_start"], line["key"])
        key = (line["strategy_id"], line["scheme"], *what)
        if known.setdefault(key, number) != number:
            problems.append(f"{name_of(number, line)}: charges the same as line {known[key]}")
    return problems


# --- A step of a high-water mark --------------------------------------------------------------------------------------
# A mark is a level and the losses below it that are not earned back: {level, deficits: [[period, amount]], realised
# (cumulative net profit), set_at (when a fee last moved it), periods (that ended so far)}.
def mark_step(line: dict, key: str, inputs: dict) -> Decimal:
    """The fee of one step; also compares what the line says of the mark on the way."""
    policy, before = line["policy"], inputs["before"]
    on_profit = policy.get("basis", "profit") == "profit"
    level, deficits = Decimal(before["level"]), [(period, Decimal(amount)) for period, amount in before["deficits"]]
    measured, period = Decimal(inputs["measured"]), before["periods"] + 1
    realised = Decimal(before["realised"]) + Decimal(inputs["result"])
    if on_profit and policy.get("floating", "realised") == "realised":
        expect("measured profit", measured, realised)
    for flow in (flow for flow in inputs["flows"] if not on_profit or flow.get("is_cost")):
        level, deficits = moved_by_flow(level, deficits, flow, policy)
    is_due = inputs.get("is_due", True)  # or it is only measured: no period of the length that was agreed on ends
    if not is_due and "agreed_period" not in policy:
        raise Disagreement("nothing is charged, though a period ends")
    memory = policy.get("loss_memory_periods")
    if is_due and memory is not None:  # a loss of when none was forgotten (of period 0) ages from now on
        deficits = [(of or period, amount) for of, amount in deficits if period - (of or period) <= memory]
    elif is_due and any(of for of, _ in deficits):
        deficits = with_loss(deficits, 0, ZERO, None)
    mark = level + sum((amount for _, amount in deficits), ZERO)
    expect("mark before", inputs["mark_before"], mark, STORED)
    start, (gain, deficits) = (level, deficits), earned_back(measured - level, deficits)
    hurdle = chargeable = ZERO
    if is_due:
        hurdle = hurdle_of(line, inputs, mark if not on_profit else Decimal(inputs["capital"]))
        chargeable = ZERO if gain <= hurdle else gain - hurdle if policy.get("hurdle") == "hard" else gain
    expect("hurdle", inputs["hurdle"], hurdle, STORED)
    expect("chargeable gain", inputs["chargeable"], chargeable, STORED)
    fee, set_at = Decimal(line["rate"]) * chargeable, inputs["at"] if chargeable else before["set_at"]
    if gain < 0 and is_due:
        level, deficits = measured, with_loss(deficits, period, -gain, memory)
    elif is_due and (chargeable or not gain):
        level = measured
        if policy.get("new_mark") == "gross" and fee:
            deficits = with_loss(deficits, period, fee, memory)
    elif is_due:  # below the hurdle: losses are earned back, what is left of the gain counts on until a fee is paid
        level = measured - gain
    else:
        level, deficits = start
    after = {"level": level, "deficits": deficits, "realised": realised, "set_at": set_at}
    compare_marks(inputs["after"], after, period if key == PERIOD_KEY and is_due else period - 1)
    expect("mark after", inputs["mark_after"], level + sum((amount for _, amount in deficits), ZERO), STORED)
    return fee


def moved_by_flow(level: Decimal, deficits: list, flow: dict, policy: dict) -> tuple[Decimal, list]:
    """Deposit D: mark + D. Withdrawal W at equity E: mark - W, or mark x (E - W) / E; one that paid a fee: mark - W."""
    amount, equity = Decimal(flow["amount"]), Decimal(flow["equity"])
    if amount >= 0 or flow.get("is_fee") or policy.get("withdrawal", "absolute") == "absolute":
        return level + amount, deficits
    factor = max(ZERO, equity + amount) / equity if equity > 0 else ZERO
    return level * factor, [(of, left * factor) for of, left in deficits]


def earned_back(change: Decimal, deficits: list) -> tuple[Decimal, list]:
    """What is left of a gain after the losses before it, the oldest first, and what is left of them."""
    if change <= 0:
        return change, deficits
    left = []
    for of, amount in deficits:
        repaid = min(change, amount)
        change -= repaid
        left += [(of, amount - repaid)] if amount > repaid else []
    return change, left


def hurdle_of(line: dict, inputs: dict, base: Decimal) -> Decimal:
    """The yearly rate on its base, by days / 365 since a fee last moved the mark."""
    if line["policy"].get("hurdle", "none") == "none":
        return ZERO
    elapsed = (moment(inputs["at"]) - moment(inputs["before"]["set_at"])).total_seconds()
    return max(ZERO, base) * Decimal(line["policy"]["hurdle_rate"]) * (Decimal(elapsed) / YEAR_S)


def with_loss(deficits: list, period: int, amount: Decimal, memory: int | None) -> list:
    """Losses are kept apart only where they are forgotten apart."""
    whole = sum((left for _, left in deficits), ZERO) + amount
    return [(0, whole)] if memory is None else [*deficits, (period, amount)]


def compare_marks(stored: dict, computed: dict, periods: int) -> None:
    """Raises Disagreement where the mark after the step is another one."""
    expect("level of the mark after", stored["level"], computed["level"], STORED)
    expect("profit so far", stored["realised"], computed["realised"], STORED)
    expect("periods so far", stored["periods"], periods)
    expect("when the mark was set", moment(stored["set_at"]), moment(computed["set_at"]))
    expect("losses to earn back", len(stored["deficits"]), len(computed["deficits"]))
    for (of, amount), (of_computed, amount_computed) in zip(stored["deficits"], computed["deficits"], strict=True):
        expect("period of a loss", of, of_computed)
        expect("loss to earn back", amount, amount_computed, STORED)


# --- 3. The chain of marks --------------------------------------------------------------------------------------------
def check_chain(document: dict, earlier: list[dict], notes: list[str]) -> list[str]:
    """Each step begins with the mark that the step before it ended with: in this file, else in an earlier one."""
    problems = []
    steps = [(content["statement"]["number"], line) for content in (document, *earlier) for line in content["lines"]]
    for number, line in enumerate(document["lines"], start=1):
        previous, inputs, name = line.get("previous"), inputs_of(line), name_of(number, line)
        if (before := inputs.get("before")) is None:
            continue
        own = [(of, inputs_of(step)) for of, step in steps if mark_named(step) == mark_named(line)]
        ending = [(of, step) for of, step in own if "after" in step and moment(step["at"]) == moment(inputs["from"])]
        # deals that came late moved the mark: what corrects an earlier step is on a later statement, or corrected again
        of_mark = [step.get("changed_since", 0) for _, step in steps if mark_named(step) == mark_named(line)]
        doubts = notes if previous is not None and any(map(Decimal, of_mark)) else problems
        if ending and not any(same_mark(line, step["after"], before) for _, step in ending):
            doubts.append(f"{name}: begins with {mark_of(before)}, no step before it in these files ends so")
        if previous is None:
            if before["periods"] or before["deficits"]:
                problems.append(f"{name}: no step before it is named, but its mark has a past")
        elif not same_mark(line, previous["after"], before) and not is_resumed(line, inputs, notes, name):
            named = f"{previous['statement'] or 'on no statement'}, to {previous['at'][:10]}"
            ended = f"the step before it ({named}) ended with {mark_of(previous['after'])}"
            doubts.append(f"{name}: begins with the mark {mark_of(before)}, {ended}")
        elif previous["statement"] in {number for number, _ in steps} and not any(
            of == previous["statement"] and "after" in step and same_mark(line, step["after"], previous["after"])
            for of, step in own
        ):
            problems.append(f"{name}: {previous['statement']} has no step that ended so")
    return problems


def mark_named(line: dict) -> tuple[str, str]:
    """Which mark a step is of: each strategy has one of what is measured."""
    return line["strategy_id"], line["policy"].get("basis", "profit")


def is_resumed(line: dict, inputs: dict, notes: list[str], name: str) -> bool:
    """Whether other terms held in between: then the mark is taken up again, lower only where money was paid out."""
    is_lower = mark_of(inputs["before"]) < mark_of(line["previous"]["after"]) and mark_named(line)[1] == "profit"
    if moment(line["previous"]["at"]) >= moment(inputs["from"]) or is_lower:
        return False
    notes.append(f"{name}: its mark was taken up again after other terms or cash flows in between")
    return True


def same_mark(line: dict, mark: dict, other: dict) -> bool:
    """Whether two marks are the same; the result of deals is none of an account's value."""
    names = ["level"] + ["realised"] * (mark_named(line)[1] == "profit")
    losses, other_losses = ([(of, Decimal(amount)) for of, amount in side["deficits"]] for side in (mark, other))
    return losses == other_losses and all(Decimal(mark[name]) == Decimal(other[name]) for name in names)


def mark_of(mark: dict) -> Decimal:
    """What must be exceeded before anything is owed."""
    return EXACT.add(Decimal(mark["level"]), sum((Decimal(amount) for _, amount in mark["deficits"]), ZERO))


# --- 4. Sums ----------------------------------------------------------------------------------------------------------
def check_periods(document: dict) -> list[str]:
    """Each period is the sum of its lines, and each line belongs to one."""
    problems, sums, fees = [], {}, {}
    for line in document["lines"]:
        key = (line["strategy_id"], line["period_start"], line["period_end"])
        sums.setdefault(key, []).append(Decimal(line["amount"]))
        if "corrects" not in line["inputs"]:
            fees.setdefault(key, {}).setdefault(line["scheme"], []).append(line)
    for key, lines in fees.items():  # a minimum or a cap counts the other fees of its period, but a joining fee
        for scheme, outside in LIMITS.items():
            counted = (line for of, own in lines.items() if of not in outside for line in own)
            amount = sum((Decimal(line["amount"]) for line in counted), ZERO)
            wrong = [line for line in lines.get(scheme, []) if Decimal(line["inputs"]["fees"]) != amount]
            problems += [f"{scheme} of {key[0]} from {key[1][:10]}: other fees come to {amount}" for _ in wrong]
    for period in document["periods"]:
        amounts = sums.pop((period["strategy_id"], period["start"], period["end"]), [])
        name = f"period of {period['strategy']} from {period['start'][:10]}"
        if len(amounts) != period["lines"]:
            problems.append(f"{name}: has {period['lines']} lines, {len(amounts)} are there")
        if sum(amounts) != Decimal(period["amount"]):
            problems.append(f"{name}: is {period['amount']}, its lines come to {sum(amounts)}")
    return problems + [f"lines of {key[0]} from {key[1][:10]} belong to no period of the statement" for key in sums]


def check_totals(document: dict) -> list[str]:
    """The statement is the sum of its periods, with tax; converted, that of its lines."""
    tax, reporting = (statement := document["statement"])["tax"], statement["reporting"]
    amount = sum((Decimal(period["amount"]) for period in document["periods"]), ZERO)
    expected = {
        "amount": (statement["amount"], amount),
        "tax": (tax["amount"], rounded(EXACT.multiply(amount, Decimal(tax["rate"])), statement["currency"])),
        "total": (statement["total"], amount + Decimal(tax["amount"])),
    }
    if reporting["amount"] is not None:
        converted = (line["reporting"]["amount"] for line in document["lines"] if line["reporting"])
        expected["amount in " + reporting["currency"]] = (reporting["amount"], sum(map(Decimal, converted), ZERO))
    wrong = {name: pair for name, pair in expected.items() if Decimal(pair[0]) != pair[1]}
    return [f"the statement's {name} is {stored}, it comes to {value}" for name, (stored, value) in wrong.items()]


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Half up, away from zero, to the smallest unit of the currency."""
    return EXACT.quantize(amount, Decimal(1).scaleb(-DIGITS.get(currency, 2)))


def expect(name: str, stored: object, computed: object, within: Decimal = ZERO) -> None:
    """Numbers are compared as numbers, whatever zeros they end with."""
    if abs(Decimal(stored) - computed) > within if isinstance(computed, Decimal) else stored != computed:
        raise Disagreement(f"{name} is {stored}, its inputs give {computed}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else print(__doc__) or 2)
