"""`$` lets one final line break through; what is matched to its end is matched with fullmatch or \\Z."""

from __future__ import annotations

import ast
from pathlib import Path
from re import _constants, _parser

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = (
    "copying",
    "users",
    "jobs",
    "accounts",
    "strategies",
    "subscribers",
    "reporting",
    "api",
    "copyportal",
    "editing",
)
READERS = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer", "re_path"}
READERS |= {"RegexValidator", "RegexField"}


def ends_in_dollar(pattern: str, flags: int = 0) -> bool:
    """Whether `$` stands in a pattern as the end of the text; as the end of a line it is meant."""
    parsed = _parser.parse(pattern, flags)
    return not parsed.state.flags & _constants.SRE_FLAG_MULTILINE and "AT AT_END\n" in dumped(parsed)


def dumped(parsed: _parser.SubPattern) -> str:
    lines: list[str] = []
    pending = [parsed]
    while pending:
        for operation, argument in pending.pop():
            lines.append(f"{operation} {argument}" if operation is _constants.AT else str(operation))
            pending += parts_of(argument)
    return "\n".join(lines) + "\n"


def parts_of(argument: object) -> list[_parser.SubPattern]:
    """The patterns inside an operation's argument."""
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    return [part for each in argument for part in parts_of(each)] if isinstance(argument, tuple | list) else []


def patterns_of(file: Path) -> list[tuple[int, str]]:
    """(line, pattern) of every pattern that a file writes down."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [*node.args[:1], *(each.value for each in node.keywords if each.arg in ("regex", "pattern"))]
        found += [
            (text.lineno, text.value)
            for text in texts
            if name in READERS and isinstance(text, ast.Constant) and isinstance(text.value, str)
        ]
    return found


def is_spoilt(pattern: str) -> bool:
    try:
        return ends_in_dollar(pattern)
    except _parser.error:
        return False  # an argument of another function of that name


@pytest.mark.parametrize("package", PACKAGES)
def test_no_pattern_ends_in_a_dollar(package: str) -> None:
    spoilt = [
        f"{file.relative_to(ROOT)}:{line} {pattern!r}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for line, pattern in patterns_of(file)
        if is_spoilt(pattern)
    ]
    assert spoilt == [], "use fullmatch or \\Z"


@pytest.mark.parametrize(
    ("pattern", "spoilt"),
    [
        (r"a$", True),
        (r"(a|b$)", True),
        (r"(?:x(y$)?)+", True),
        (r"(?=a$)", True),
        (r"^$", True),
        (r"a\Z", False),
        (r"[$]", False),
        (r"\$", False),
        (r"(?m)a$", False),
        ("a", False),
    ],
)
def test_the_rule_sees_what_it_is_for(pattern: str, spoilt: bool) -> None:
    assert is_spoilt(pattern) is spoilt
