"""Trade size expressions: a safe, bounded subset of math.js, evaluated over all routes at once.

Arithmetic (+ - * / % ^), comparison, `and or xor not`, `condition ? a : b`, parentheses, numbers, the documented
variables (contract, 3.7) and a few functions. Anything else is refused when it is parsed, with the position.
Comparisons and truth values are 1 and 0. What versions of math.js read differently is refused when it is saved
(`check`) and still evaluated where it stands in older documents. It never calls Python's eval, never allocates more
than a few arrays per operation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

MAX_LENGTH = 2000
MAX_NODES = 500
MAX_DEPTH = 60

VARIABLES = frozenset(
    {
        "providerVolume",
        "providerTradeAmount",
        "multiplier",
        "providerBalance",
        "balance",
        "quoteOrOpenPrice",
        "tickValue",
        "tickSize",
        "providerScaledVolume",
        "contractSize",
        "providerStopLoss",
        "providerTakeProfit",
        "accountCurrencyExchangeRate",
    }
)

Values = Mapping[str, Any]
Node = Callable[[Values], Any]


class ExpressionError(ValueError):
    """An expression that is refused. position: offset of the offending character, from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.message, self.position = message, position


class Token(NamedTuple):
    """kind: number, name, operator or end."""

    kind: str
    text: str
    position: int


TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>==|!=|<=|>=|[-+*/%^()<>?:,])|(?P<space>\s+)"
)


def tokenize(text: str) -> list[Token]:
    """The tokens and an end mark."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    tokens, position = [], 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"{text[position]!r} is not allowed here", position)
        kind = match.lastgroup or ""
        if kind == "name" and match.group() in ("and", "or", "xor", "not"):
            kind = "operator"
        if kind != "space":
            tokens.append(Token(kind, match.group(), position))
        position = match.end()
    return [*tokens, Token("end", "", len(text))]


def truth(value: Any) -> Any:
    """Whether a value counts as true: anything but 0 (nan counts as false)."""
    return (value != 0) & (value == value)


def nearly_equal(a: Any, b: Any) -> Any:
    """Equality as math.js has it, within a relative 1e-12 or 1e-15; infinity equals itself only."""
    difference = np.abs(a - b)
    is_near = difference <= np.maximum(1e-12 * np.maximum(np.abs(a), np.abs(b)), 1e-15)
    return (a == b) | (is_near & (difference < np.inf))


def as_number(value: Any) -> Any:
    """True and false as 1.0 and 0.0."""
    return value * 1.0


def round_half_away(value: Any, digits: Any = None) -> Any:
    """Round half away from zero, as math.js does, to 0 to 15 digits (else nan); binary noise does not count."""
    scale = 1.0 if digits is None else 10.0**digits
    rounded = np.sign(value) * np.floor(np.abs(value) * scale * (1 + 1e-15) + 0.5) / scale
    if digits is None:
        return rounded
    return np.where((digits >= 0) & (digits <= 15) & (digits == np.floor(digits)), rounded, np.nan)


def snapped(rounding: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Rounding as math.js does it: what is equal to a whole number within its tolerance is that number.

    floor(0.29 * 100) is 29, although the product is 28.999999999999996.
    """

    def round_(value: Any) -> Any:
        whole = np.rint(value)
        return np.where(nearly_equal(value, whole), whole, rounding(value))

    return round_


def modulo(value: Any, divisor: Any) -> Any:
    """The remainder with the sign of the divisor; of a division by zero the value itself, as math.js has it."""
    return np.where(divisor == 0, value, np.mod(value, divisor))


def logarithm(value: Any, base: Any = None) -> Any:
    """Natural logarithm, or to a base."""
    return np.log(value) if base is None else np.log(value) / np.log(base)


INFIX: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "or": (2, lambda a, b: as_number(truth(a) | truth(b))),
    "xor": (3, lambda a, b: as_number(truth(a) ^ truth(b))),
    "and": (4, lambda a, b: as_number(truth(a) & truth(b))),
    "==": (5, lambda a, b: as_number(nearly_equal(a, b))),
    "!=": (5, lambda a, b: 1.0 - nearly_equal(a, b)),
    "<": (5, lambda a, b: as_number((a < b) & ~nearly_equal(a, b))),
    ">": (5, lambda a, b: as_number((a > b) & ~nearly_equal(a, b))),
    "<=": (5, lambda a, b: as_number((a < b) | nearly_equal(a, b))),
    ">=": (5, lambda a, b: as_number((a > b) | nearly_equal(a, b))),
    "+": (6, np.add),
    "-": (6, np.subtract),
    "*": (7, np.multiply),
    "/": (7, np.divide),
    "%": (7, modulo),
    "^": (9, np.power),
}
PREFIX: dict[str, Callable[[Any], Any]] = {
    "-": np.negative,
    "+": np.positive,
    "not": lambda value: 1.0 - truth(value),
}
PREFIX_STRENGTH = 8  # weaker than ^: -2 ^ 2 is -4
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {  # least and most arguments
    "min": (1, 20, lambda *a: reduce(np.minimum, a)),
    "max": (1, 20, lambda *a: reduce(np.maximum, a)),
    "round": (1, 2, round_half_away),
    "floor": (1, 1, snapped(np.floor)),
    "ceil": (1, 1, snapped(np.ceil)),
    "abs": (1, 1, np.abs),
    "sqrt": (1, 1, np.sqrt),
    "pow": (2, 2, np.power),
    "sign": (1, 1, np.sign),
    "log": (1, 2, logarithm),
    "exp": (1, 1, np.exp),
}
CONSTANTS = {"true": 1.0, "false": 0.0}


class Parser:
    """Operator precedence (Pratt) parser; the strengths are those of math.js."""

    def __init__(self, text: str, *, is_strict: bool = False) -> None:
        self.tokens = tokenize(text)
        self.is_strict = is_strict
        self.next = 0
        self.nodes = 0
        self.depth = 0

    def parse(self) -> Node:
        """The whole text as one node."""
        node = self.expression(0)
        token = self.tokens[self.next]
        if token.kind != "end":
            raise ExpressionError(f"unexpected {token.text!r}", token.position)
        return node

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ExpressionError(f"more than {MAX_NODES} parts", token.position)
        return token

    def expect(self, text: str) -> None:
        token = self.tokens[self.next]
        if token.text != text:
            actual = repr(token.text) if token.text else "the end"
            raise ExpressionError(f"expected {text!r}, actual {actual}", token.position)
        self.next += 1

    def expression(self, strength: int) -> Node:
        """An expression whose infix operators are all at least as strong."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}", self.tokens[self.next].position)
        left = self.operand()
        compared = scaled = False
        while True:
            token = self.tokens[self.next]
            if token.text == "?" and strength <= 1:
                self.take()
                left = self.conditional(left)
                continue
            if token.kind != "operator" or token.text not in INFIX or INFIX[token.text][0] < strength:
                break
            own, operation = INFIX[token.text]
            if own == 5 and compared:
                raise ExpressionError("comparisons cannot be chained", token.position)
            compared = own == 5
            self.take()
            if self.is_strict and token.text == "%":
                self.refuse_unclear_modulo(token, scaled)
            scaled |= token.text in ("*", "/")
            left = infix(operation, left, self.expression(own if token.text == "^" else own + 1))
        self.depth -= 1
        return left

    def refuse_unclear_modulo(self, token: Token, is_scaled: bool) -> None:
        """`a * b % c` depends on the version of math.js, and `a % -b` is a percentage there."""
        if is_scaled:
            raise ExpressionError("put parentheses around what stands on either side of '%'", token.position)
        right = self.tokens[self.next]
        if right.text in PREFIX:
            raise ExpressionError(f"put parentheses around what {right.text!r} belongs to", right.position)

    def conditional(self, condition: Node) -> Node:
        chosen = self.expression(1)
        self.expect(":")
        other = self.expression(1)
        return lambda values: np.where(truth(condition(values)), chosen(values), other(values))

    def operand(self) -> Node:
        token = self.take()
        if token.kind == "number":
            value = float(token.text)
            if not np.isfinite(value):
                raise ExpressionError("the number is too large", token.position)
            return lambda values: np.float64(value)
        if token.kind == "name":
            return self.name(token)
        if token.text == "(":
            node = self.expression(0)
            self.expect(")")
            return node
        if token.text in PREFIX:
            operation, inner = PREFIX[token.text], self.expression(PREFIX_STRENGTH)
            return lambda values: operation(inner(values))
        raise ExpressionError(
            f"unexpected {token.text!r}" if token.text else "the expression ends too early", token.position
        )

    def name(self, token: Token) -> Node:
        name = token.text
        if name in FUNCTIONS:
            return self.call(token)
        if name in CONSTANTS:
            constant = np.float64(CONSTANTS[name])
            return lambda values: constant
        if name in VARIABLES:
            return lambda values: values[name]
        raise ExpressionError(f"{name!r} is not a known variable or function", token.position)

    def call(self, token: Token) -> Node:
        least, most, function = FUNCTIONS[token.text]
        self.expect("(")
        arguments = [self.expression(0)]
        while self.tokens[self.next].text == ",":
            self.take()
            arguments.append(self.expression(0))
        self.expect(")")
        if not least <= len(arguments) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ExpressionError(f"{token.text} takes {wanted} arguments, not {len(arguments)}", token.position)
        return lambda values: function(*(argument(values) for argument in arguments))


def infix(operation: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    """A node that applies an operation to two others."""
    return lambda values: operation(left(values), right(values))


def check(text: str) -> None:
    """Refuse what does not mean the same in every math.js. Raises ExpressionError."""
    parser = Parser(text, is_strict=True)
    refuse_line_ends(text, parser.tokens)
    parser.parse()


def refuse_line_ends(text: str, tokens: list[Token]) -> None:
    """Outside parentheses a complete expression ends with its line in math.js, and the next line is another one."""
    depth = 0
    for left, right in pairwise(tokens):
        depth += (left.text == "(") - (left.text == ")")
        between = text[left.position + len(left.text) : right.position]
        is_complete = depth == 0 and (left.kind in ("number", "name") or left.text == ")")
        if "\n" in between and is_complete and right.kind != "end":
            raise ExpressionError("the expression must not go on in another line here", right.position)


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """The expression as a function of the variables. Raises ExpressionError."""
    return Parser(text).parse()


def evaluate(text: str, values: Values) -> np.ndarray:
    """The value for every route; nan or inf where the arithmetic has no finite answer.

    values: the variables of `VARIABLES`, numbers or arrays of one shape.
    """
    numbers = {name: np.float64(value) if isinstance(value, float | int) else value for name, value in values.items()}
    with np.errstate(all="ignore"):
        return np.asarray(parse(text)(numbers), np.float64)
