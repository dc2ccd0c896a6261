"""A CSV of clients to invite: read, checked row by row, and invited all together or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from copying.contract.texts import is_one_line
from subscribers import access
from subscribers.models import Subscriber
from users.members import Invited, Refusal
from users.models import Role, User, Workspace
from users.table_files import BadRow, BadRows, lines_of

MOST_ROWS = 200  # each is mailed while one waits
MOST_BYTES = 200_000
LONGEST_NAME, LONGEST_EMAIL = 120, 254
COLUMNS = ("email", "name", "accounts")


@dataclass(frozen=True)
class ClientRow:
    """One client of a file. line: where it stands, counted from 1 with the heading; accounts: ids at the backend."""

    line: int
    email: str
    name: str
    accounts: tuple[str, ...]


def read_clients(content: bytes) -> list[ClientRow]:
    """The rows of a CSV with the columns email, name and accounts (the last two may be left out). Raises BadRows."""
    lines = lines_of(content, most_bytes=MOST_BYTES)
    heading = [cell.strip().lower() for cell in lines[0][1]] if lines else []
    if "email" not in heading or len(set(heading)) < len(heading) or not set(heading) <= set(COLUMNS):
        raise BadRows([BadRow(1, "The first line names the columns: email, and name and accounts if you have them.")])
    if len(lines) - 1 > MOST_ROWS:
        raise BadRows([BadRow(0, f"The file has more than {MOST_ROWS} clients. Send it in parts.")])
    rows, bad = [], []
    for line, cells in lines[1:]:
        if len(cells) != len(heading):
            bad.append(BadRow(line, f"It has {len(cells)} cells, the first line {len(heading)}."))
            continue
        values = dict(zip(heading, (cell.strip() for cell in cells), strict=True))
        accounts = tuple(dict.fromkeys(values.get("accounts", "").replace("|", " ").split()))
        row = ClientRow(line, values["email"].lower(), values.get("name", ""), accounts)
        rows.append(row)
        bad += [BadRow(line, text) for text in _problems(row)]
    bad += _repeated(rows)
    if not rows and not bad:
        bad.append(BadRow(0, "The file has no clients."))
    if bad:
        raise BadRows(sorted(bad, key=lambda row: row.line))
    return rows


def _problems(row: ClientRow) -> Iterator[str]:
    """What is wrong with one row by itself."""
    try:
        validate_email(row.email)
        if len(row.email) > LONGEST_EMAIL:
            yield "The e-mail address is too long."
    except ValidationError:
        yield f"“{row.email}” is not an e-mail address."
    if len(row.name) > LONGEST_NAME or not is_one_line(row.name):
        yield f"The name is one line of at most {LONGEST_NAME} characters."


def _repeated(rows: list[ClientRow]) -> list[BadRow]:
    """Rows whose address stands in an earlier one."""
    first: dict[str, int] = {}
    repeated = []
    for row in rows:
        if row.email in first:
            repeated.append(BadRow(row.line, f"{row.email} stands in line {first[row.email]} already."))
        first.setdefault(row.email, row.line)
    return repeated


@transaction.atomic
def invite_clients(workspace: Workspace, rows: list[ClientRow], *, by: User, now: datetime) -> list[Invited]:
    """Invite all of them. Raises BadRows, and nobody is invited."""
    wanted = {account for row in rows for account in row.accounts}
    own: dict[str, list[Subscriber]] = {}
    for account in Subscriber.objects.filter(workspace=workspace, is_removed=False, backend_id__in=wanted):
        own.setdefault(account.backend_id, []).append(account)
    invited, bad = [], []
    for row in rows:
        unknown = [account for account in row.accounts if account not in own]
        if unknown:
            bad.append(BadRow(row.line, f"No account has the id {', '.join(unknown)}."))
            continue
        accounts = [account for backend_id in row.accounts for account in own[backend_id]]
        outcome = access.invite(
            workspace, email=row.email, name=row.name, role=Role.SUBSCRIBER, accounts=accounts, by=by, now=now
        )
        if isinstance(outcome, Refusal):
            bad.append(BadRow(row.line, outcome.text))
        else:
            invited.append(outcome)
    if bad:
        raise BadRows(bad)
    return invited
