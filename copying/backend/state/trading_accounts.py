"""Trading accounts as the provisioning API manages them: made, changed and deleted (account APIs, 2).

An account that was opened in another way (by a document that names it, or by E6) may do everything; one that was made
here may do what was asked for. Starting and stopping stands in signals/deployment.py.
"""

from __future__ import annotations

from .accounts import add_account, own_account
from .book import Book
from .commands import ConfigureAccount, CreateAccount, MakeConfigurationLink, OpenAccount
from .effects import Effects
from .entities import NEVER, AccountMeta
from .errors import Refused, invalid

DEPLOY_SECONDS = 2.0
MOST_ACCOUNTS = 20_000  # per tenant
MOST_LINKS = 5  # per account; the oldest no longer works
CHECKS_ALL = 4  # entries of these rules and later: commands.NEWEST_RULES
ROLES = ("PROVIDER", "SUBSCRIBER")


def roles_of(meta: AccountMeta) -> list[str]:
    """What an account may be used for."""
    return [role for role in ROLES if role in meta.settings.get("copyFactoryRoles", ROLES)]


def uses_of(book: Book, account_id: str) -> dict[str, str]:
    """What an account is used for, by role: the name of a strategy of its own, its name as a subscriber."""
    uses = {}
    for strategy in book.strategies_by_id.values():
        if not strategy.is_portfolio and strategy.document.get("accountId") == account_id:
            uses["PROVIDER"] = strategy.name
    if (subscriber := book.subscribers_by_id.get(account_id)) is not None:
        uses["SUBSCRIBER"] = subscriber.name
    return uses


def check_role(book: Book, account_id: str, role: str, parameter: str) -> None:
    """An account that does not have the role cannot be used so; one that nobody knows yet has it."""
    row = book.account_rows.get(account_id)
    if row is not None and role not in roles_of(book.account_meta[row]):
        raise invalid(parameter, account_id, f"the account does not have the role {role}: give it the role first")


def own_meta(book: Book, tenant: str, account_id: str) -> AccountMeta:
    """The caller's account. Raises 404."""
    return book.account_meta[own_account(book, tenant, account_id)]


def running_account(book: Book, tenant: str, account_id: str) -> int:
    """Row of the caller's account. Raises 404, also for one that is stopped: it has no terminal to ask."""
    row = own_account(book, tenant, account_id)
    if (state := book.account_meta[row].state) != "DEPLOYED":
        text = f"The account is not deployed (it is {state}): start it first, or wait until it has started."
        raise Refused(404, "NotFoundError", text)
    return row


def account_with(book: Book, tenant: str, server: str, login: str) -> AccountMeta | None:
    """The caller's account of a login at a server."""
    for _, meta in own_accounts(book, tenant):
        if login and meta.login == login and meta.settings.get("server") == server:
            return meta
    return None


def check_create(book: Book, command: CreateAccount) -> None:
    """The id is nobody's, the login is not connected yet, and there is room."""
    if command.account_id in book.account_rows:
        raise Refused(409, "ConflictError", "The id is in use: try again")
    if len(own_accounts(book, command.tenant)) >= MOST_ACCOUNTS:
        raise Refused(400, "ValidationError", f"There are {MOST_ACCOUNTS:,} accounts, which is the most: delete some")
    known = account_with(book, command.tenant, command.settings.get("server", ""), command.login)
    if known is not None:
        raise invalid("login", command.login, f"is connected already, as account {known.id}")


def create(book: Book, command: CreateAccount, effects: Effects) -> None:
    """A new account, which runs at once unless it waits for its login."""
    row = add_account(
        book,
        OpenAccount(
            tenant=command.tenant,
            account_id=command.account_id,
            name=command.name,
            currency=command.currency,
            leverage=command.leverage,
            deposit=command.deposit,
            demo=command.demo,
        ),
        effects,
    )
    meta = book.account_meta[row]
    meta.settings, meta.login, meta.verifier = dict(command.settings), command.login, command.verifier
    if command.draft:
        meta.state = "DRAFT"
        book.accounts.connected[row] = False


def check_configure(book: Book, command: ConfigureAccount) -> None:
    """The account is the caller's, the link that was used is good, and no role is taken away that is in use."""
    meta = own_meta(book, command.tenant, command.account_id)
    if command.link and meta.links.get(command.link, 0.0) <= book.time:
        raise Refused(404, "NotFoundError", "The link was used already or has expired: ask for a new one")
    present = meta.settings.get("server", "")
    moves = command.settings.get("server", present) != present
    if command.login or (moves and book.rules >= CHECKS_ALL):
        check_login(book, command, meta)
    if "copyFactoryRoles" in command.settings:
        check_roles_in_use(book, command)


def check_login(book: Book, command: ConfigureAccount, meta: AccountMeta) -> None:
    """Login and server, as they will be, are connected as no other account."""
    server = command.settings.get("server") or meta.settings.get("server", "")
    known = account_with(book, command.tenant, server, command.login or meta.login)
    if known in (None, meta):
        return
    if command.login:
        raise invalid("login", command.login, "is connected already")
    raise invalid("server", server, f"has the login already, as account {known.id}")


def check_roles_in_use(book: Book, command: ConfigureAccount) -> None:
    """A role goes only when nothing needs it any more."""
    roles = command.settings["copyFactoryRoles"]
    words = {"PROVIDER": "provides the strategy", "SUBSCRIBER": "copies, as the subscriber"}
    for role, name in uses_of(book, command.account_id).items():
        if role not in roles:
            raise invalid("copyFactoryRoles", roles, f"the account {words[role]} {name!r}: remove that first")


def configure(book: Book, command: ConfigureAccount, effects: Effects) -> None:
    """Take changes over; a draft that has its login now starts."""
    row = book.account_rows[command.account_id]
    meta = book.account_meta[row]
    meta.settings = {**meta.settings, **command.settings}
    meta.name = command.name or meta.name
    meta.login = command.login or meta.login
    meta.verifier = command.verifier or meta.verifier
    if command.link and book.rules >= CHECKS_ALL:
        meta.links = {}  # whoever has another must not change what was typed
    else:
        meta.links = {digest: moment for digest, moment in meta.links.items() if digest != command.link}
    if command.name:
        book.changed_configuration()
    if meta.state == "DRAFT" and meta.login:
        start(book, row)


def start(book: Book, row: int) -> None:
    """Begin to start an account."""
    meta = book.account_meta[row]
    meta.state, meta.state_ends = "DEPLOYING", book.time + DEPLOY_SECONDS
    book.deployments[row] = meta.state_ends


def check_link(book: Book, command: MakeConfigurationLink) -> None:
    """The account is the caller's."""
    own_meta(book, command.tenant, command.account_id)


def make_link(book: Book, command: MakeConfigurationLink, effects: Effects) -> None:
    """Keep the digest of a link until it is used or expires."""
    meta = own_meta(book, command.tenant, command.account_id)
    links = {digest: moment for digest, moment in meta.links.items() if moment > book.time}
    while len(links) >= MOST_LINKS:
        del links[next(iter(links))]
    meta.links = {**links, command.digest: command.expires_at}


def forget(book: Book, row: int) -> None:
    """Let nobody know an account any more. Its row stays, because records tell of it by number."""
    meta = book.account_meta[row]
    del book.account_rows[meta.id]
    book.accounts_of[meta.tenant].pop(row)
    book.deployments.pop(row, None)
    meta.tenant, meta.settings, meta.verifier, meta.links = "", {}, "", {}
    meta.login, meta.robot, meta.state_ends = "", "", NEVER
    book.accounts.connected[row] = True  # nothing is kept for it
    book.changed_configuration()


def shown_login(meta: AccountMeta) -> str:
    """The login, of an account that was given none a number of its own; "" while it is a draft without one."""
    if meta.login or meta.state == "DRAFT":
        return meta.login
    return str(10_000_000 + _number(meta.id) % 90_000_000)


def _number(text: str) -> int:
    """A number that follows from a text, the same on every machine."""
    number = 0
    for character in text.encode():
        number = (number * 257 + character + 1) % (2**61 - 1)
    return number


def own_accounts(book: Book, tenant: str) -> list[tuple[int, AccountMeta]]:
    """A tenant's accounts with their rows, oldest first."""
    return [(row, book.account_meta[row]) for row in book.accounts_of.get(tenant, ())]
