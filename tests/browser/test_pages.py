"""Every page on a desk and on a phone, light and dark: it answers, fits, keeps still, and has names for everything."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import URLResolver, get_resolver, resolve
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.conftest import settle

OF_MANAGER = (
    "/",
    "/strategies/",
    "/strategies/?q=nothing-is-called-so",
    "/strategies/results/",
    "/strategies/{strategy}/",
    "/strategies/{strategy}/subscribers/",
    "/strategies/{strategy}/settings/",
    "/strategies/{strategy}/transactions/",
    "/strategies/{strategy}/commission/",
    "/strategies/{strategy}/commission/terms/",
    "/commissions/terms/{terms}/consent/",
    "/strategies/{strategy}/commission/rates/",
    "/strategies/{strategy}/commission/mark/",
    "/strategies/{strategy}/commission/fees/",
    "/strategies/{strategy}/log/",
    "/strategies/{portfolio}/",
    "/strategies/{portfolio}/settings/",
    "/subscribers/",
    "/subscribers/results/",
    "/subscribers/{stopped}/",
    "/subscribers/{subscriber}/",
    "/subscribers/{subscriber}/subscriptions/",
    "/subscribers/{subscriber}/stopouts/",
    "/subscribers/{subscriber}/transactions/",
    "/subscribers/{subscriber}/commission/",
    "/positions/",
    "/positions/?state=missing",
    "/positions/all/",
    "/positions/{signal}/",
    "/positions/cells/?ids={signal}",
    "/positions/{signal}/close/",
    "/positions/all/{position}/close/",
    "/strategies/{strategy}/positions/",
    "/strategies/{portfolio}/positions/",
    "/subscribers/{subscriber}/positions/",
    "/subscribers/{subscriber}/log/",
    "/stopouts/",
    "/transactions/",
    "/transactions/?type=DEAL_TYPE_BUY&symbol=EURUSD&outcome=gain",
    "/decisions/",
    "/decisions/{decision}/",
    "/commissions/",
    "/commissions/?by=subscriber",
    "/commissions/{strategy}/{subscriber}/",
    "/commissions/agents/",
    "/commissions/agents/new/",
    "/commissions/agents/statements/",
    "/commissions/agents/{agent}/",
    "/commissions/agents/{agent}/shares/",
    "/commissions/agents/{agent}/clients/",
    "/commissions/agents/statements/{agent_statement}/",
    "/log/",
    "/sync/",
    "/jobs/",
    "/jobs/?state=failed",
    "/jobs/{job}/",
    "/settings/members/invite/clients/",
    "/settings/members/invite/",
    "/settings/members/{member}/",
    "/settings/members/{member}/remove/",
    "/subscribers/{subscriber}/access/",
    "/leave/",
    "/accounts/email/",
    "/settings/rates/",
    "/settings/billing/",
    "/settings/records/",
    "/settings/bookkeeping/",
    "/subscribers/{subscriber}/client/",
    "/notifications/",
    "/notifications/sent/",
    "/notifications/telegram/",
    "/notifications/webhook/",
    "/settings/notifications/",
    "/settings/notifications/bot/",
    "/settings/events/",
    "/settings/events/new/",
    "/settings/events/{endpoint}/",
    "/settings/events/{endpoint}/edit/",
    "/settings/events/deliveries/{delivery}/",
    "/settings/agreements/",
    "/settings/agreements/accepted/",
    "/settings/agreements/versions/{agreement}/",
    "/settings/agreements/terms/",
    "/settings/agreements/risk/",
    "/settings/agreements/fees/",
    "/settings/tokens/",
    "/settings/tokens/new/",
    "/settings/tokens/reference/",
    "/accounts/sessions/",
    "/accounts/second-factor/",
    "/accounts/second-factor/set-up/",
    "/accounts/second-factor/passkeys/add/",
    "/accounts/confirm/",
    "/settings/security/",
    "/settings/audit/",
    "/settings/audit/?kind=people",
    "/search/?q=trend",
    "/settings/",
    "/settings/members/",
    "/settings/connections/",
    "/settings/connections/new/",
    "/settings/connections/{connection}/",
    "/settings/connections/{connection}/rights/",
    "/accounts/password/change/",
    "/nowhere/",
    "/trading-accounts/",
    "/trading-accounts/?q=nothing-is-called-so",
    "/trading-accounts/{account}/",
    "/trading-accounts/new/?way=login",
    "/trading-accounts/new/?way=link",
    "/trading-accounts/new/?way=paper",
    "/trading-accounts/{account}/roles/",
    "/trading-accounts/{account}/remove/",
    "/trading-accounts/{draft}/",
    # where things are changed
    "/strategies/new/",
    "/strategies/new-portfolio/",
    "/strategies/{strategy}/edit/",
    "/strategies/{strategy}/signals/",
    "/strategies/{strategy}/changes/",
    "/strategies/{strategy}/clients/",
    "/strategies/{strategy}/remove/",
    "/strategies/{portfolio}/signals/",
    "/strategies/{external}/signals/",
    "/strategies/{portfolio}/edit/",
    "/strategies/{portfolio}/members/Trd1/edit/",
    "/strategies/{portfolio}/members/add/",
    "/strategies/{portfolio}/members/Trd1/remove/",
    "/subscribers/new/",
    "/subscribers/{subscriber}/edit/",
    "/subscribers/{subscriber}/subscribe/",
    "/subscribers/{subscriber}/subscriptions/Trd1/edit/",
    "/subscribers/{subscriber}/subscriptions/Trd1/remove/",
    "/subscribers/{subscriber}/resynchronise/",
    "/subscribers/{subscriber}/remove/",
    "/subscribers/{subscriber}/changes/",
    "/subscribers/{subscriber}/currency/",
    "/subscribers/currencies/",
    "/subscribers/currencies/file/",
    # the books
    "/commissions/close/",
    "/commissions/issue/",
    "/commissions/periods/",
    "/commissions/periods/{period}/",
    "/commissions/statements/",
    "/statements/{statement}/",
    "/commissions/payments/",
    "/commissions/payments/new/?statement={statement}",
    "/commissions/refunds/new/?statement={statement}",
    "/commissions/runs/",
    "/commissions/runs/{statement}/",
    "/commissions/mail/",
    "/commissions/mail/{mail}/",
    "/commissions/journal/",
    "/commissions/journal/{journal}/datev/",
    "/commissions/revenue/",
    "/commissions/revenue/?by=client",
    "/commissions/revenue/?by=all",
    "/commissions/approvals/",
    "/commissions/approvals/{approval}/",
    "/commissions/disputes/",
    "/disputes/{dispute}/",
    "/statements/{disputed}/lines/{line}/dispute/",
    "/commissions/debt/",
    "/commissions/incoming/",
    "/accounts/email/",
)
OF_SUBSCRIBER = (
    "/me/",
    "/me/positions/",
    "/me/decisions/",
    "/me/statements/",
    "/transactions/",
    "/me/agreements/",
    "/me/accounts/{own}/subscriptions/{own_strategy}/",
    "/me/accounts/{own}/subscriptions/{own_strategy}/leave/",
    "/me/accounts/{own}/leave/",
    "/me/accounts/{own}/changes/",
)
OF_NOBODY = ("/accounts/login/", "/accounts/password/reset/")
PAGES = [
    (role, path)
    for role, paths in (("manager", OF_MANAGER), ("subscriber", OF_SUBSCRIBER), (None, OF_NOBODY))
    for path in paths
]
# addresses that are no page of their own: parts of pages, files, health, and what only takes a POST or leads elsewhere
NOT_PAGES = frozenset(
    (
        "healthz",
        "readyz",
        "accounts:choices",
        "accounts:deploy",
        "accounts:link",
        "accounts:redeploy",
        "accounts:servers",
        "accounts:undeploy",
        "account_login",  # the address of users:sign-in
        "account_confirm_email",
        "account_inactive",
        "account_end_other_sessions",
        "mfa_keep",
        "mfa_login_webauthn",
        "people:reset-factor",
        "account_end_session",
        "account_logout",
        "account_signup",
        "account_reset_password_from_key",
        "account_reset_password_done",
        "account_reset_password_from_key_done",
        "account_withdraw_email_change",
        "jobs:cancel",
        "jobs:export",
        "jobs:file",
        "jobs:line",
        "jobs:try-again",
        "people:activate",
        "people:change-accounts",
        "people:deactivate",
        "people:transfer",
        "people:change-role",
        "people:invitation",  # keeps the token and leads to people:join
        "people:link",
        "people:renew-invitation",
        "people:revoke-invitation",
        "people:unlink",
        "reporting:incoming-paid",
        "reporting:receiver-paid",
        "reporting:add-rate",
        "reporting:preview-statement",
        "reporting:reverse-credit-note",
        "reporting:take-write-off-back",
        "reporting:write-off",
        "reporting:approve-run",
        "reporting:decline-run",
        "reporting:withdraw-run",
        "reporting:add-rates",
        "reporting:close-period",
        "reporting:commission-change",  # a part of the review of a change
        "reporting:close-periods",
        "reporting:credit-note",
        "reporting:fetch-rates",
        "reporting:freshness",
        "reporting:credit-dispute",
        "reporting:export-journal",
        "reporting:issue-statements",
        "reporting:journal-beancount",
        "reporting:open-cells",
        "reporting:overview-equity",
        "reporting:record-consent",
        "reporting:reject-dispute",
        "reporting:remove-rate",
        "reporting:send-run",
        "reporting:send-statement",
        "reporting:signal-outcomes",
        "reporting:statement-file",
        "reporting:statement-pdf",
        "reporting:strategy-equity",
        "reporting:strategy-performance",
        "reporting:strategy-quality",
        "reporting:subscriber-equity",
        "reporting:subscriber-log-fetch",
        "reporting:subscriber-performance",
        "reporting:subscriber-quality",
        "reporting:switch-rates",
        "reporting:take-journal-back",
        "reporting:transaction-totals",
        "reporting:undo-payment",
        "reporting:void-run",
        "reporting:withdraw-dispute",
        "reporting:save-currencies",
        "reporting:use-credit",
        "reporting:void-statement",
        "strategies:close-signal",
        "strategies:create-webhook",
        "strategies:remove-webhook",
        "strategies:send-signal",
        "editing:positions",
        "subscribers:close-only",
        "subscribers:own-close-only",
        "subscribers:set-client-bounds",
        "reporting:leaving",
        "reporting:keep-records",
        "users:check-telegram",
        "users:remove-telegram",
        "users:remove-telegram-bot",
        "users:remove-webhook",
        "users:test-email",
        "users:test-telegram",
        "users:test-webhook",
        "users:event-delivery-again",
        "users:event-endpoint-remove",
        "users:event-endpoint-secret",
        "users:event-endpoint-test",
        "reporting:accept-agreements",
        "reporting:answer-fee",
        "editing:bulk-start",
        "editing:bulk-undo",
        "editing:bulk-what-if",
        "subscribers:choose",
        "editing:discard",
        "editing:go-on",
        "editing:look-again",
        "subscribers:limits",
        "subscribers:reset-stopout",
        "editing:save",
        "editing:undo",
        "editing:what-if",
        "tokens:revoke",
        "users:connection-test",
        "users:connection-token",
        "users:switch",
        "users:brand",
        "users:logo",
        "users:choose-logo",
        "users:remove-logo",
        "users:theme",
    )
)
# pages that need something made first: the tests named look at them
ELSEWHERE = {
    "people:join": "test_people",
    "mfa_authenticate": "test_people",
    "mfa_deactivate_totp": "test_people",
    "mfa_remove_webauthn": "test_passkeys",
    "mfa_generate_recovery_codes": "test_people",
    "mfa_view_recovery_codes": "test_people",
    "reporting:payment": "test_books",
    "strategies:change-signal": "test_walk_live",
    "editing:change": "test_editing",
    "editing:bulk": "test_bulk",
    "subscribers:choose-act": "test_bulk",
    "users:setup": "test_people",
}
A_JOB = (
    "INSERT INTO jobs_job (workspace_id, kind, title, origin, key, parameters, cursor, state, is_standing, done, total,"
    " message, file, attempts, due_at, created_at, finished_at) SELECT id, 'export', 'Transactions, EURUSD',"
    " '/transactions/', '', '{}', '{}', 'failed', FALSE, 120, 4000, 'The disk is full.', '', 5, now(), now(), now()"
    " FROM users_workspace ORDER BY id LIMIT 1 RETURNING id"
)
A_MAIL = (
    "WITH mail AS (INSERT INTO users_mail (workspace_id, kind, recipient, recipient_name, sender_name, reply_to,"
    " subject, text, attachments, message_id, state, attempts, refusal, may_be_double, queued_at, due_at, settled_at)"
    " SELECT id, 'statement', 'someone.with.a.long.name@clients.example.com', 'Dora Maar', 'Alpine', '', 'Statement"
    " S-000012 of Alpine', 'Dear Dora Maar,', '[]', '<1@localhost>', 'refused', 1, 'The mail server said: 550 5.1.1 no"
    " such user', TRUE, now(), now(), now() FROM users_workspace ORDER BY id LIMIT 1 RETURNING id) INSERT INTO"
    " reporting_statementmail (statement_id, mail_id) SELECT max(s.id), mail.id FROM reporting_statement s, mail"
    " GROUP BY mail.id RETURNING mail_id"
)
A_DISPUTE = (
    "INSERT INTO reporting_dispute (workspace_id, statement_id, line_id, amount, reason, state, opened_at)"
    " SELECT s.workspace_id, s.id, l.id, l.amount, 'This trade was closed by hand, not by the strategy', 'open', now()"
    " FROM reporting_statement s JOIN reporting_statementitem i ON i.statement_id = s.id"
    " JOIN reporting_billingperiod p ON p.id = i.period_id"
    " JOIN reporting_commissionline l ON l.strategy_id = p.strategy_id AND l.subscriber_id = s.subscriber_id"
    " AND l.period_start = p.period_start AND l.period_end = p.period_end AND l.member_id = '' AND l.amount > 0"
    " WHERE NOT s.is_void ORDER BY s.id DESC, l.id LIMIT 1 RETURNING id"
)
AN_APPROVAL = (
    "INSERT INTO reporting_runrequest (workspace_id, kind, scope, title, parameters, origin, number, sums, state,"
    " requested_at, requested_by_id, note) SELECT w.id, 'close-periods', '', 'Periods that ended by the end of May',"
    """ '{"until": "2026-06-01T00:00:00+00:00"}', '/', 12, '{"USD": "1234.5", "EUR": "17"}', 'waiting', now(),"""
    " m.user_id, '' FROM users_workspace w JOIN users_membership m ON m.workspace_id = w.id AND m.role <> 'owner'"
    " ORDER BY w.id, m.id LIMIT 1 RETURNING id"
)
AN_AGENT = (
    "WITH agent AS (INSERT INTO reporting_feereceiver (workspace_id, name, kind, note, added_at) SELECT id,"
    " 'Alpine Partners', 'agent', 'Introduces clients in Austria', now() FROM users_workspace ORDER BY id LIMIT 1"
    " RETURNING id, workspace_id), terms AS (INSERT INTO reporting_receiverterms (receiver_id, valid_from, shares,"
    """ set_at) SELECT id, '2026-01-01', '["0.25", "0.05"]', now() FROM agent), clients AS (INSERT INTO"""
    " reporting_introduction (workspace_id, connection_id, subscriber_id, receiver_id, valid_from, set_at) SELECT"
    " agent.workspace_id, s.connection_id, s.backend_id, agent.id, '2026-01-01', now() FROM agent,"
    " subscribers_subscriber s ORDER BY s.id LIMIT 3) SELECT id FROM agent"
)
AN_AGENT_STATEMENT = (
    "WITH document AS (INSERT INTO reporting_receiverstatement (workspace_id, receiver_id, number, currency, amount,"
    " issued_at) SELECT workspace_id, id, 1, 'USD', 25, now() FROM reporting_feereceiver RETURNING id, receiver_id),"
    " line AS (INSERT INTO reporting_shareline (document_id, receiver_id, statement_id, inputs, amount) SELECT"
    " document.id, document.receiver_id, s.id,"
    """ '{"parts": [{"strategy": "Alpine trend", "until": "2026-05-31T21:59:59.999999+00:00", "fee": "120.0000","""
    """ "level": 0, "share": "0.25"}], "fees": "120.0000", "standing": "100.0000", "booked": "0"}', 25 FROM document,"""
    " (SELECT id FROM reporting_statement ORDER BY id LIMIT 1) s) SELECT id FROM document"
)
AN_EXPORT = (
    "INSERT INTO reporting_journalexport (workspace_id, number, first_day, last_day, last_entry, periods, zone,"
    " accounts, bookings, digest, made_at) SELECT workspace_id, 1, min(day), min(day), max(id), '[]', 'UTC',"
    """ '{"advisor": 1001, "client": 1, "year_begins": 1}', 0, '', now() FROM reporting_entry"""
    " GROUP BY workspace_id ORDER BY 1 LIMIT 1 RETURNING id"
)
A_DRAFT = (
    "INSERT INTO accounts_brokeraccount (workspace_id, connection_id, backend_id, name, login, server, platform, state,"
    " connection_status, region, is_provider, is_subscriber, document, revision, is_removed, first_seen_at, seen_at,"
    " broker, currency, previous_currency, mode, kind, trouble) SELECT workspace_id, id, 'draft-1', 'A draft', '',"
    " 'Broker-Demo', 'mt5', 'DRAFT', 'DISCONNECTED', '', FALSE, TRUE, '{}', '1', FALSE, now(), now(), '', 'EUR', 'USD',"
    " 'netting', '', 'Its terminal is busy.' FROM users_connection ORDER BY id LIMIT 1 RETURNING id"
)
TERMS_THAT_ASK = (
    "UPDATE reporting_termsversion SET asks_consent = TRUE WHERE strategy_id = 'Trd1' AND subject = 'commission'"
    " AND valid_from IS NULL RETURNING id"
)
AN_ENDPOINT = (
    "INSERT INTO users_eventendpoint (workspace_id, name, url, secret, kinds, is_enabled, created_at, failing_since)"
    " SELECT id, 'Accounting', 'https://events.accounting.clients.example.com/hooks/copyportal/v1', '-', '[]', TRUE,"
    " now(), now() FROM users_workspace ORDER BY id LIMIT 1 RETURNING id"
)
A_DELIVERY = (
    "WITH event AS (INSERT INTO users_portalevent (id, workspace_id, kind, key, body, occurred_at) SELECT"
    " gen_random_uuid(), workspace_id, 'payment.recorded', '', '{}', now() FROM users_eventendpoint RETURNING id)"
    " INSERT INTO users_eventdelivery (event_id, endpoint_id, state, attempts, status, refusal, duration_ms, queued_at,"
    " due_at) SELECT event.id, e.id, 'queued', 2, 500, 'It answered 500.', 120, now(), now() + interval '1 hour'"
    " FROM event, users_eventendpoint e RETURNING id"
)
OWN_STRATEGY = (
    "SELECT s.strategy_backend_id FROM subscribers_subscription s JOIN subscribers_subscriberaccess a"
    " USING (subscriber_id) WHERE NOT s.is_removed ORDER BY a.id, s.id LIMIT 1"
)
# two copies of it are gone, and for one of them nothing is known of why: the page says both in a list
A_SIGNAL_SOME_LACK = (
    "WITH signal AS (SELECT t.* FROM reporting_opentrade t ORDER BY t.copies DESC, t.id LIMIT 1), lost AS (SELECT"
    " p.id, p.subscriber_id FROM reporting_openposition p JOIN signal USING (connection_id, signal_id) ORDER BY p.id"
    " DESC LIMIT 2), gone AS (DELETE FROM reporting_openposition p USING lost WHERE p.id = lost.id), forgotten AS"
    " (DELETE FROM reporting_decision d USING signal WHERE d.signal_id = signal.signal_id AND d.subscriber_id ="
    " (SELECT subscriber_id FROM lost LIMIT 1) AND d.id < (SELECT max(id) FROM reporting_decision))"
    " SELECT id FROM signal"
)
# what Chromium moved after it was painted, except in answer to a person
SHIFTS = """window.shift = 0;
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
}).observe({ type: "layout-shift", buffered: true });"""
# what a screen reader could not name, and what there must be exactly one of
UNNAMED = """() => {
  const seen = (element) => element.checkVisibility({ visibilityProperty: true });
  const named = (element) => [element.textContent, element.getAttribute("aria-label"), element.title,
    ...[...element.querySelectorAll("[aria-label], [alt]")].map((one) => one.getAttribute("aria-label") || one.alt)]
    .some((text) => text && text.trim());
  const labelled = (element) => element.getAttribute("aria-label")
    || [...element.labels].some((label) => label.textContent.trim());
  const short = (element) => element.outerHTML.slice(0, 120);
  const found = [];
  for (const element of document.querySelectorAll("a[href], button, summary"))
    if (seen(element) && !named(element)) found.push("without a name: " + short(element));
  for (const element of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (seen(element) && !labelled(element)) found.push("without a label: " + short(element));
  for (const element of document.querySelectorAll("img:not([alt])")) found.push("without alt: " + short(element));
  for (const element of document.querySelectorAll("svg:not([aria-hidden]):not([aria-label])"))
    if (!element.closest("[aria-hidden], [role=img]")) found.push("neither named nor hidden: " + short(element));
  for (const element of document.querySelectorAll("[style]:not(.chart *), script:not([src])"))
    found.push("inline: " + short(element));
  const kind = (element) => element.getAttribute("role") || element.localName;
  const landmarks = [...document.querySelectorAll("nav, aside, search, [role=search], [role=region]")]
    .filter(seen).map((element) => `${kind(element)} "${element.getAttribute("aria-label") || ""}"`);
  for (const name of new Set(landmarks.filter((name, place) => landmarks.indexOf(name) !== place)))
    found.push("two landmarks: " + name);
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("twice: #" + id);
  for (const [name, selector] of [["heading", "h1"], ["main part", "main"]]) {
    const count = [...document.querySelectorAll(selector)].filter(seen).length;
    if (count !== 1) found.push(`${count} of the one ${name}`);
  }
  return found;
}"""
# pills that leave the card that they are in
OUTSIDE = """() => [...document.querySelectorAll(".card .state")].filter((pill) => pill.checkVisibility()
  && pill.getBoundingClientRect().right > pill.closest(".card").getBoundingClientRect().right)
  .map((pill) => pill.textContent)"""
# as if the firm had accounts in more currencies: cells of cards with an amount get further ones
MORE_CURRENCIES = """() => {
  for (const amount of document.querySelectorAll(".list-cards td[data-label] > .nowrap"))
    for (const more of ["\u2212123\u202f456\u202f789 JPY", "+98\u202f765.43 CHF"]) {
      const copy = amount.cloneNode();
      copy.textContent = more;
      amount.after(" ", copy);
    }
}"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SIZES = {"desk": ({"width": 1440, "height": 900}, "light"), "phone": ({"width": 360, "height": 780}, "dark")}


@pytest.fixture(scope="session")
def ids(stack) -> dict[str, int]:
    """What the addresses of pages are filled in with."""
    return {
        "strategy": stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Trd1'"),
        "portfolio": stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Mix1'"),
        "external": stack.one("SELECT id FROM strategies_strategy WHERE backend_id = 'Ext1'"),
        "subscriber": stack.one(
            "SELECT subscriber_id FROM subscribers_subscription WHERE strategy_backend_id = 'Trd1' ORDER BY id"
        ),
        "stopped": stack.one("SELECT id FROM subscribers_subscriber WHERE backend_id = 'T-3003'"),
        "period": stack.one("SELECT max(id) FROM reporting_billingperiod"),
        "statement": stack.one("SELECT max(id) FROM reporting_statement"),
        "connection": stack.one("SELECT id FROM users_connection"),
        "account": stack.one("SELECT min(id) FROM accounts_brokeraccount"),
        "draft": stack.one(A_DRAFT),
        "member": stack.one("SELECT id FROM users_membership WHERE role = 'subscriber' ORDER BY id"),
        "job": stack.one(A_JOB),
        "mail": stack.one(A_MAIL),
        "decision": stack.one("SELECT max(id) FROM reporting_decision"),
        "position": stack.one("SELECT id FROM reporting_openposition WHERE signal_id <> '' ORDER BY id LIMIT 1"),
        "signal": stack.one(A_SIGNAL_SOME_LACK),
        "terms": stack.one(TERMS_THAT_ASK),
        "agreement": stack.one("SELECT min(id) FROM subscribers_agreementtext"),
        "endpoint": stack.one(AN_ENDPOINT),
        "delivery": stack.one(A_DELIVERY),
        "own": stack.one("SELECT subscriber_id FROM subscribers_subscriberaccess ORDER BY id LIMIT 1"),
        "own_strategy": stack.one(OWN_STRATEGY),
        "journal": stack.one(AN_EXPORT),
        "approval": stack.one(AN_APPROVAL),
        "dispute": stack.one(A_DISPUTE),
        "agent": stack.one(AN_AGENT),
        "agent_statement": stack.one(AN_AGENT_STATEMENT),
        "disputed": stack.one("SELECT statement_id FROM reporting_dispute"),
        "line": stack.one("SELECT line_id FROM reporting_dispute"),
    }


@pytest.fixture(scope="session")
def contexts(browser: Browser, stack, states) -> Iterator[dict]:
    """One open browser per person and size, so that files are fetched once."""
    opened: dict[tuple, BrowserContext] = {}
    for role in (*states, None):
        for size, (viewport, scheme) in SIZES.items():
            context = browser.new_context(
                base_url=stack.address,
                viewport=viewport,
                color_scheme=scheme,
                storage_state=states[role] if role else None,
            )
            context.add_init_script(SHIFTS)
            opened[role, size] = context
    yield opened
    for context in opened.values():
        context.close()


def names_of(resolver: URLResolver, namespace: str = "") -> Iterator[str]:
    """The full name of every address."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from names_of(entry, entry.namespace or namespace)
        else:
            yield f"{namespace}:{entry.name}" if namespace else entry.name


def test_every_page_of_the_portal_is_looked_at():
    paths = [re.sub(r"\{\w+\}", "1", path.split("?")[0]) for _, path in PAGES if path != "/nowhere/"]
    looked_at = {resolve(path).view_name for path in paths} | set(ELSEWHERE)
    # what answers programs is tried address by address in tests/integration/api
    names = {name for name in names_of(get_resolver()) if not name.startswith("api:")}
    assert names - NOT_PAGES == looked_at


def complaints_of(page: Page) -> list[str]:
    """A list that fills with what the page complains about."""
    found: list[str] = []
    page.on("console", lambda line: found.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"{request.url} {request.failure}"))
    return found


# what of axe-core hangs on the colours of a scheme; all else it found, or not, in the first one
OF_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def barriers(page: Page, options: dict | None = None) -> list[str]:
    """What axe-core finds on a page, its best practices included: rule, element and what is wrong with it."""
    # colours fade in for a moment after the scheme has changed
    page.wait_for_function("() => document.getAnimations().every((animation) => animation.playState !== 'running')")
    return [
        f"{violation['id']}: {', '.join(node['target'][0] for node in violation['nodes'][:5])}: "
        f"{violation['nodes'][0]['failureSummary']}"
        for violation in Axe().run(page, options=options).response["violations"]
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("role", "path"), PAGES)
def test_a_page_fits_keeps_still_and_names_everything(role, path, size, contexts, ids):
    page = contexts[role, size].new_page()
    complaints = complaints_of(page)
    answer = page.goto(path.format(**ids))
    assert answer.status == (404 if path == "/nowhere/" else 200)
    settle(page)
    assert page.evaluate("document.documentElement.dataset.bsTheme") == SIZES[size][1]
    assert [text for text in complaints if answer.status == 200 or "404" not in text] == []
    assert page.evaluate(WIDER) <= 0
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate("window.shift") < 0.05
    assert page.evaluate(UNNAMED) == []
    assert barriers(page) == []
    other = "dark" if SIZES[size][1] == "light" else "light"
    page.emulate_media(color_scheme=other)
    page.wait_for_function("scheme => document.documentElement.dataset.bsTheme === scheme", arg=other)
    assert page.evaluate(WIDER) <= 0
    assert barriers(page, OF_COLOURS) == []
    page.evaluate(MORE_CURRENCIES)
    assert page.evaluate(WIDER) <= 0
    page.close()
