"""What comes from outside is read in one place (users/parsing.py): nothing in the web applications reads it alone."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SENT = r"(?:request|self\.request)\.(?:GET|POST|COOKIES|META)\b"


def test_only_the_parser_takes_what_was_sent_for_a_number():
    alone = re.compile(rf"\.isdigit\(|\.isdecimal\(|\.isnumeric\(|\bint\({SENT}|fromisoformat\({SENT}")
    wrong = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for package in ("users", "jobs", "accounts", "strategies", "subscribers", "reporting", "api")
        for file in (ROOT / package).rglob("*.py")
        for line in file.read_text().splitlines()
        if alone.search(line) and file.name != "parsing.py"
    ]
    assert wrong == []
