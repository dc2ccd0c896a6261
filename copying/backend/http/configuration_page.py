"""The page behind a configuration link: whoever owns the account types its login and password there (2.11).

The last part of the address is the secret: it opens one account, until a password was set with it or it expires. The
same address answers programs in JSON. Nothing of it is kept by browsers or sent on to other sites.
"""

from __future__ import annotations

import hashlib
from html import escape
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from copying.backend.http import passwords
from copying.backend.http.options import service
from copying.backend.http.parameters import body_bytes, document
from copying.backend.http.replies import done, reply
from copying.backend.http.trading_accounts import BROKER, platform_of, server_of
from copying.backend.state.commands import ConfigureAccount
from copying.backend.state.entities import AccountMeta
from copying.backend.state.errors import Refused, invalid
from copying.backend.state.trading_accounts import shown_login
from copying.contract.provisioning import ConfigurationInformation
from copying.contract.validation import Invalid, validate

GONE = "This link was used already or has expired. Ask whoever sent it for a new one."
MOST_TYPED = 5_000
HEADERS = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "no-referrer",
}
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body><main><h1>{title}</h1>{content}</main></body>
</html>
"""
FORM = """<p>{broker}, server {server}, account “{name}”.</p>{problem}
<form method="post">{login}
<p><label>Password<br><input type="password" name="password" required autocomplete="off"></label></p>
<p>It is used to trade on this account and is shown to nobody.</p>
<p><button>Connect the account</button></p></form>"""
LOGIN = """
<p><label>Login (account number)<br>
<input name="login" required inputmode="numeric" pattern="[0-9]+" autocomplete="off" value="{login}"></label></p>"""


async def show(request: Request) -> Response:
    """What is asked for."""
    meta = linked(request)
    if meta is None:
        return gone(request)
    if is_program(request):
        information = ConfigurationInformation(
            configured=meta.state != "DRAFT",
            login=meta.login or None,
            server=server_of(meta),
            platform=platform_of(meta),
        )
        return reply(information)
    return form(meta)


async def put_credentials(request: Request) -> Response:
    """Set login and password, for programs."""
    meta = linked(request)
    if meta is None:
        return gone(request)
    asked = await document(request, "credentials")
    await configure(request, meta, asked.login or "", asked.password)
    return done()


async def post_credentials(request: Request) -> Response:
    """Set login and password, from the page."""
    meta = linked(request)
    if meta is None:
        return gone(request)
    typed = dict(parse_qsl((await body_bytes(request)).decode("utf-8", "replace")[:MOST_TYPED]))
    login = typed.get("login", "").strip()
    try:
        credentials = {"password": typed.get("password", ""), **({"login": login} if login else {})}
        asked = validate("credentials", credentials)
        await configure(request, meta, asked.login or "", asked.password)
    except (Refused, Invalid) as refused:
        return form(meta, getattr(refused, "message", None) or str(refused), login, status=400)
    return page("The account is connected", "<p>Thank you. The account starts now; you can close this page.</p>")


async def configure(request: Request, meta: AccountMeta, login: str, password: str) -> None:
    """Check what was typed and take it over; the link is spent with it."""
    if meta.state == "DRAFT" and not login:
        raise Refused(400, "ValidationError", "The login is required: the account has none yet.")
    if meta.state != "DRAFT" and login not in ("", shown_login(meta)):
        raise invalid("login", login, "cannot be changed: leave it out, or connect the other login as a new account")
    verifier = await passwords.verifier_of(password)
    command = ConfigureAccount(
        tenant=meta.tenant,
        account_id=meta.id,
        login=login if meta.state == "DRAFT" else "",
        verifier=verifier,
        link=digest_of(request),
    )
    await service(request).core.submit(command)


def linked(request: Request) -> AccountMeta | None:
    """The account that the link opens; None for a link that is none, was used or has expired."""
    book = service(request).core.book
    row = book.account_rows.get(request.path_params["account_id"])
    if row is None:
        return None
    meta = book.account_meta[row]
    return meta if meta.links.get(digest_of(request), 0.0) > service(request).core.clock() else None


def gone(request: Request) -> Response:
    """A link that opens nothing. Raises Refused where no page is wanted."""
    if is_program(request):
        raise Refused(404, "NotFoundError", GONE)
    return page("The link is not valid", f"<p>{GONE}</p>", 404)


def digest_of(request: Request) -> str:
    """Of the secret in the address: comparing digests tells nobody how much of a guess was right."""
    return hashlib.sha256(request.path_params["secret"].encode(errors="replace")).hexdigest()


def is_program(request: Request) -> bool:
    """Whether JSON is wanted rather than a page."""
    return "text/html" not in request.headers.get("accept", "")


def form(meta: AccountMeta, problem: str = "", login: str = "", status: int = 200) -> Response:
    """The page with its form."""
    is_draft = meta.state == "DRAFT"
    content = FORM.format(
        broker=escape(BROKER),
        server=escape(server_of(meta)),
        name=escape(meta.name),
        problem=f'<p role="alert">{escape(problem)}</p>' if problem else "",
        login=LOGIN.format(login=escape(login)) if is_draft else "",
    )
    return page("Connect your trading account" if is_draft else "Change the password", content, status)


def page(title: str, content: str, status: int = 200) -> Response:
    """A whole page."""
    return HTMLResponse(PAGE.format(title=title, content=content), status, HEADERS)
