"""Every address that takes a form, with ids of another workspace: the answer of ids that nobody has, nothing is saved.

The addresses come from the urlconf: one that is new fails here until its ids are named. Forms of strategies and
subscribers are tried against a backend in tests/integration/editing/test_ids_in_forms.py as well.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db import connection as database
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from api.tokens import issue_token
from copying.client import errors
from copying.client.exchange import Exchange
from editing.models import BulkEdit, Change
from jobs.models import Job
from reporting.models import (
    BillingPeriod,
    CommissionLine,
    Dispute,
    FeeReceiver,
    JournalExport,
    OpenPosition,
    OpenTrade,
    OwnRate,
    Payment,
    ReceiverStatement,
    RunRequest,
    Statement,
    Subject,
    TermsSource,
    TermsVersion,
)
from subscribers.agreements import publish_text
from subscribers.models import Stopout, SubscriberAccess
from tests import builders
from tests.passkey import stored_passkey
from users.events import emit, new_secret
from users.models import EventEndpoint, Invitation, Membership

pytestmark = pytest.mark.django_db
MADE_UP = "987654321"
TODAY = timezone.now().date()

# the row that an id in an address is of, by how the address begins; the longest beginning counts
PATH_IDS = {
    "changes/": "change",
    "changes/bulk/": "bulk",
    "subscribers/bulk/": "bulk",
    "commissions/changes/": "change",
    "commissions/payments/": "payment",
    "commissions/periods/": "period",
    "positions/": "signal",
    "positions/all/": "position",
    "commissions/runs/": "statement",
    "commissions/journal/": "export",
    "disputes/": "dispute",
    "commissions/approvals/": "approval",
    "commissions/incoming/": "period",
    "commissions/agents/": "agent",
    "commissions/agents/statements/": "agent_statement",
    "commissions/terms/": "terms",
    "jobs/": "job",
    "settings/connections/": "connection",
    "settings/members/": "membership",
    "settings/tokens/": "token",
    "settings/rates/": "rate",
    "settings/members/invitations/": "invitation",
    "statements/": "statement",
    "stopouts/": "stopout",
    "trading-accounts/": "trading",
    "settings/events/": "endpoint",
    "settings/events/deliveries/": "delivery",
    "me/accounts/": "subscriber",
    "settings/agreements/versions/": "agreement",
    "strategies/": "strategy",
    "subscribers/": "subscriber",
    "switch/": "workspace",
    "accounts/second-factor/passkeys/": "passkey",
}
NESTED = {"membership_pk": "membership", "line_pk": "line", "strategy_id": "strategy_name", "signal_id": "signal_name"}
# nested ids that a backend judges: tried against one in tests/integration/editing
JUDGED_BY_BACKEND = {
    "strategies/<int:pk>/signals/<str:signal_id>/change/",
    "strategies/<int:pk>/signals/<str:signal_id>/close/",
}

# (address with own ids, what else is sent, the input or parameter with the id, the row that it is of)
BODIES = (
    ("/subscribers/bulk/", {}, "ids", "subscriber"),
    ("/subscribers/bulk/", {"which": "all"}, "strategy", "strategy"),
    ("/subscribers/{subscriber}/access/link/", {}, "client", "membership"),
    ("/settings/members/invite/", {"email": "x@example.com", "role": "subscriber"}, "accounts", "subscriber"),
    ("/settings/members/invite/", {"email": "x@example.com", "role": "subscriber"}, "?account", "subscriber"),
    ("/settings/members/{membership}/accounts/", {}, "accounts", "subscriber"),
    ("/me/agreements/accept/", {}, "text", "agreement"),
    ("/me/agreements/fee/", {"answer": "agreed"}, "version", "terms"),
    ("/commissions/agents/{agent}/shares/", {"share_0": "5", "day": TODAY.isoformat()}, "above", "agent"),
    ("/commissions/payments/new/", {}, "?statement", "statement"),
    ("/commissions/payments/new/", {}, "?subscriber", "subscriber"),
    ("/commissions/refunds/new/", {}, "?statement", "statement"),
    ("/commissions/refunds/new/", {}, "?subscriber", "subscriber"),
    ("/trading-accounts/new/", {"name": "x", "server": "x", "login": "1"}, "connection", "connection"),
    ("/strategies/new/", {"name": "x", "accountId": "x"}, "connection", "connection"),
    ("/strategies/new/", {"name": "x", "accountId": "x"}, "?change", "change"),
    ("/strategies/new-portfolio/", {"name": "x"}, "connection", "connection"),
    ("/strategies/new-portfolio/", {"name": "x"}, "members.0.strategyId", "strategy_name"),
    ("/strategies/new-portfolio/", {"name": "x"}, "?change", "change"),
    ("/strategies/{strategy}/edit/", {"name": "y"}, "?change", "change"),
    ("/strategies/{strategy}/members/add/", {}, "strategy", "strategy_name"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "connection", "connection"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "subscriptions.0.strategyId", "strategy_name"),
    ("/subscribers/new/", {"name": "x", "account": "n-1"}, "?change", "change"),
    ("/subscribers/{subscriber}/edit/", {"name": "y"}, "?change", "change"),
    ("/subscribers/{subscriber}/subscribe/", {}, "strategy", "strategy_name"),
    ("/subscribers/{subscriber}/close-only/", {"mode": "by-position"}, "strategy", "strategy_name"),
    ("/subscribers/{subscriber}/resynchronise/", {"scope": "strategies", "typed": "x"}, "strategy", "strategy_name"),
    ("/strategies/{strategy}/webhooks/remove/", {}, "webhook", "signal_name"),
    ("/strategies/{strategy}/webhooks/create/", {}, "webhook", "signal_name"),
    ("/positions/{signal}/close/", {"scope": "chosen", "typed": "EURUSD"}, "position", "position"),
)
# forms that take no id at all, only words, numbers and days; ids in a CSV are tried where it is read
NO_IDS = {
    "subscribers/currencies/file/",
    "subscribers/currencies/save/",
    "setup/",
    "theme/",
    "settings/",
    "settings/connections/new/",
    "settings/members/invite/clients/",
    "leave/",
    "invitation/",
    "commissions/close/all/",
    "commissions/agents/new/",
    "commissions/agents/statements/",
    "settings/billing/",
    "settings/rates/fetching/",
    "settings/bookkeeping/",
    "commissions/journal/export/",
    "settings/rates/fetch/",
    "settings/rates/new/",
    "settings/rates/file/",
    "commissions/issue/all/",
    "jobs/export/",
    "accounts/login/",
    "accounts/logout/",
    "accounts/email/",
    "accounts/email/withdraw/",
    "accounts/sessions/end/",
    "accounts/password/change/",
    "accounts/password/reset/",
    "accounts/confirm/",
    "accounts/second-factor/code/",
    "accounts/second-factor/set-up/",
    "accounts/second-factor/remove/",
    "accounts/second-factor/keep/",
    "accounts/second-factor/recovery-codes/new/",
    "settings/security/",
    "accounts/second-factor/passkeys/add/",
    "accounts/passkey/",
    "settings/tokens/new/",
    "settings/events/new/",
    "notifications/",
    "notifications/email/test/",
    "notifications/telegram/",
    "notifications/telegram/check/",
    "notifications/telegram/test/",
    "notifications/telegram/remove/",
    "notifications/webhook/",
    "notifications/webhook/test/",
    "notifications/webhook/remove/",
    "settings/logo/",
    "settings/logo/remove/",
    "settings/notifications/bot/",
    "settings/notifications/bot/remove/",
    "settings/agreements/terms/",
    "settings/agreements/risk/",
    "settings/agreements/fees/",
    "settings/records/keep/",
}
# keys that are secrets, not ids of rows: tried in test_own_account.py and test_members.py
BY_KEY = {"accounts/confirm-email/<str:key>/", "accounts/sessions/<str:digest>/end/"}
FORM = {  # what a form of any kind would need, so that it is the id that is refused
    "name": "x",
    "amount": "1",
    "currency": "USD",
    "received_on": TODAY.isoformat(),
    "reason": "r",
    "void-reason": "r",
    "role": "viewer",
    "token": str(uuid.UUID(int=7)),
    "base_url": "https://x.example.com",
    "typed": "Hers",
    "mode": "close-immediately",
    "symbol": "EURUSD",
    "type": "POSITION_TYPE_BUY",
    "volume": "0.1",
}


def patterns(resolver: URLResolver, before: str = ""):
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry, route)
        elif isinstance(entry, URLPattern) and "^" not in route:
            yield route


# what programs are answered takes no forms, and no cookies: tests/integration/api/test_matrix.py
ROUTES = sorted(route for route in set(patterns(get_resolver())) if not route.startswith("api/"))


def world(user) -> dict[str, str]:
    """A workspace with one row of every kind that an address can name."""
    workspace, now = user.memberships.get().workspace, timezone.now()
    connection = builders.connection(workspace)
    strategy = builders.strategy(connection, backend_id=f"s{workspace.pk}", name="Secret strategy")
    account = builders.subscriber(connection, name=f"Secret account {workspace.pk}", currency="USD")
    builders.subscription(account, strategy, first_seen_at=builders.LONG_AGO)
    of_account = {"workspace": workspace, "connection": connection, "subscriber_id": account.backend_id}
    client = builders.member(workspace, f"client{workspace.pk}", "subscriber")
    SubscriberAccess.objects.create(membership=client.memberships.get(), subscriber=account)
    statement = Statement.objects.create(
        **of_account,
        number=1,
        workspace_name="w",
        subscriber_name="Secret account",
        first_day=TODAY,
        last_day=TODAY,
        currency="USD",
        amount=10,
        reporting_currency="USD",
        due_on=TODAY,
        issued_at=now,
    )
    payment = Payment.objects.create(
        **of_account,
        received_on=TODAY,
        amount=1,
        currency="USD",
        settled=1,
        settled_currency="USD",
        rate=Decimal(1),
        rate_day=TODAY,
        token=uuid.uuid4(),
        recorded_at=now,
    )
    period = BillingPeriod.objects.create(
        workspace=workspace,
        connection=connection,
        strategy_id=strategy.backend_id,
        period_start=now - timedelta(days=60),
        period_end=now - timedelta(days=30),
    )
    change = Change.objects.create(
        workspace=workspace,
        connection=connection,
        kind="strategy",
        backend_id=strategy.backend_id,
        name="Secret strategy",
        after={"name": "Secret strategy"},
        proposed_at=now,
        destination=connection.destination,
    )
    bulk = BulkEdit.objects.create(workspace=workspace, title="Secret bulk", proposed_at=now, request={"act": "limit"})
    stopout = Stopout.objects.create(
        workspace=workspace,
        connection=connection,
        subscriber=account,
        reason="day-balance",
        stopped_at=now,
        stopped_till=now + timedelta(hours=1),
    )
    invitation = Invitation.objects.create(
        workspace=workspace,
        email="guest@example.com",
        role="viewer",
        token_digest=f"{workspace.pk}",
        created_at=now,
        sent_at=now,
        expires_at=now + timedelta(days=1),
    )
    terms = TermsVersion.objects.create(
        workspace=workspace,
        connection=connection,
        strategy_id=strategy.backend_id,
        subject=Subject.COMMISSION,
        number=1,
        source=TermsSource.BACKEND,
        needs_consent=True,
        asks_consent=True,
        seen_at=now,
    )
    rate = OwnRate.objects.create(
        workspace=workspace, currency="KWD", day=TODAY, against="USD", value=3, source="Secret bank", entered_at=now
    )
    export = JournalExport.objects.create(
        workspace=workspace, number=1, first_day=TODAY, last_day=TODAY, last_entry=0, zone="UTC", digest="", made_at=now
    )
    line = CommissionLine.objects.create(
        **of_account,
        strategy_id=strategy.backend_id,
        period_start=period.period_start,
        period_end=period.period_end,
        scheme="amount-won",
        key="1",
        occurred_at=now,
        rate=1,
        exact_amount=10,
        amount=10,
        currency="USD",
    )
    dispute = Dispute.objects.create(
        workspace=workspace, statement=statement, line=line, amount=10, reason="Secret reason", opened_at=now
    )
    approval = RunRequest.objects.create(
        workspace=workspace,
        kind="close-periods",
        title="Secret run",
        parameters={"until": now.isoformat()},
        origin="/",
        number=1,
        sums={},
        requested_at=now,
        requested_by=user,
    )
    agent = FeeReceiver.objects.create(workspace=workspace, name="Secret agent", added_at=now)
    agent_statement = ReceiverStatement.objects.create(
        workspace=workspace, receiver=agent, number=1, currency="USD", amount=1, issued_at=now
    )
    trading = builders.broker_account(connection, name="Secret account", backend_id=f"trading{workspace.pk}")
    job = Job.objects.create(workspace=workspace, kind="export", title="Secret list", due_at=now, created_at=now)
    rows = {
        "strategy": strategy,
        "subscriber": account,
        "statement": statement,
        "payment": payment,
        "period": period,
        "change": change,
        "stopout": stopout,
        "invitation": invitation,
        "connection": connection,
        "membership": Membership.objects.get(user=client),
        "workspace": workspace,
        "job": job,
        "rate": rate,
        "terms": terms,
        "bulk": bulk,
        "trading": trading,
        "passkey": stored_passkey(user),
        "export": export,
        "line": line,
        "dispute": dispute,
        "approval": approval,
        "agent": agent,
        "agent_statement": agent_statement,
        "token": issue_token(user.memberships.get(), name="Secret", scope="read", lasts=timedelta(1), now=now).token,
    }
    trade = {"workspace": workspace, "connection": connection, "symbol": "EURUSD", "side": "buy", "opened_at": now}
    rows["agreement"] = publish_text(workspace, "terms", "Secret terms", asks_again=True, by=user, now=now)
    rows["endpoint"] = EventEndpoint.objects.create(
        workspace=workspace, name="Secret program", url="https://example.com", secret=new_secret(), created_at=now
    )
    emit(workspace.pk, "payment.recorded", {"name": "Secret"}, now=now)
    rows["delivery"] = rows["endpoint"].deliveries.get()
    rows["signal"] = OpenTrade.objects.create(
        **trade, strategy_id=strategy.backend_id, signal_id="1", state="open", copies=1
    )
    rows["position"] = OpenPosition.objects.create(
        **trade,
        subscriber_id=account.backend_id,
        position_id="1",
        source_strategy_id=strategy.backend_id,
        signal_id="1",
        strategy_id=strategy.backend_id,
        lots=1,
        open_price=1,
        swap=0,
        commission=0,
        changed_at=now,
    )
    names = {"strategy_name": strategy.backend_id, "signal_name": f"sig{workspace.pk}"}
    return {kind: str(row.pk) for kind, row in rows.items()} | names


@pytest.fixture(autouse=True)
def _no_backend(monkeypatch):
    def refuse(self, request, host):
        raise errors.Unreachable("Cannot reach the backend.", was_sent=False, transient=False)

    monkeypatch.setattr(Exchange, "_send", refuse)


def stored() -> dict[str, str]:
    """A digest of every table of ours; sessions and claimed forms are no content."""
    tables = sorted(
        {model._meta.db_table for model in apps.get_models()}
        - {"django_session", "users_signinsession", "users_formpost"}
    )
    with database.cursor() as cursor:
        digests = {}
        for table in tables:
            cursor.execute(f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM \"{table}\" t")
            digests[table] = cursor.fetchone()[0]
    return digests


def names_in(route: str) -> list[str]:
    return re.findall(r"<(?:int|str):(\w+)>", route)


def row_of(route: str, name: str) -> str:
    """The kind of row that an id of an address is of."""
    if name in NESTED:
        return NESTED[name]
    starts = [start for start in PATH_IDS if route.startswith(start)]
    assert starts, f"name the row that the id of {route} is of, in PATH_IDS"
    return PATH_IDS[max(starts, key=len)]


def filled(route: str, ids: dict[str, str]) -> str:
    return "/" + re.sub(r"<(?:int|str):(\w+)>", lambda name: ids[name[1]], route)


def takes_forms(http, route: str) -> bool:
    """Whether POST is offered; a made-up id is enough to learn it, and changes nothing."""
    return http.post(filled(route, dict.fromkeys(names_in(route), MADE_UP))).status_code != 405


def charlie_words(theirs: dict[str, str]) -> str:
    """A name that only the other workspace has."""
    return f"Secret account {theirs['workspace']}"


def text_of(answer) -> str:
    """What the page says, without tokens and what its frame holds."""
    return " ".join(re.findall(r"<title>.*?</title>|<p[ >].*?</p>", answer.content.decode(), re.DOTALL))


def test_every_address_of_a_form_says_which_ids_it_takes(alice, sign_in):
    http = sign_in(alice)
    with_bodies = {re.sub(r"\{\w+\}", "<>", path) for path, *_ in BODIES}
    plain = [route for route in ROUTES if not names_in(route) and route not in NO_IDS | BY_KEY]
    missing = [route for route in plain if f"/{route}" not in with_bodies and http.post(f"/{route}").status_code != 405]
    assert missing == [], "name in BODIES the ids that these forms take, or in NO_IDS that there are none"
    for route in (route for route in ROUTES if "<int:" in route and takes_forms(http, route)):
        for name in names_in(route):
            row_of(route, name)
    assert {route for route in NO_IDS if route not in ROUTES} == set()


def test_ids_in_addresses(alice, charlie, sign_in):
    """The first id of the address, and then each nested one under a row of one's own."""
    mine, theirs, http = world(alice), world(charlie), sign_in(alice)
    tried = 0
    for route in (route for route in ROUTES if names_in(route) and route not in BY_KEY):
        if "<int:" not in route or not takes_forms(http, route):
            continue
        names = names_in(route)
        for name in names:
            if name == "signal_id" and route in JUDGED_BY_BACKEND:
                continue
            kind, kept = row_of(route, name), stored()
            own = {other: mine[row_of(route, other)] for other in names}
            answers = []
            for wrong in (theirs[kind], MADE_UP):
                answer = http.post(filled(route, own | {name: wrong}), FORM)
                answers.append((answer.status_code, text_of(answer)))
                assert answer.status_code == 404, (route, name, wrong)
            assert answers[0] == answers[1], (route, name)
            assert stored() == kept, (route, name)
            tried += 1
    assert tried > 40


@pytest.mark.parametrize(("path", "rest", "name", "kind"), BODIES)
def test_ids_in_forms(alice, charlie, sign_in, path, rest, name, kind):
    mine, theirs, http = world(alice), world(charlie), sign_in(alice)
    kept, answers = stored(), []
    for wrong in (theirs[kind], MADE_UP):
        form, query = (FORM | rest, f"?{name[1:]}={wrong}") if name[0] == "?" else (FORM | rest | {name: wrong}, "")
        if name == "?account":
            form |= {"email": "", "accounts": wrong}
        answer = http.post(path.format(**mine) + query, form)
        answers.append((answer.status_code, text_of(answer)))
        assert answer.status_code in (302, 404, 409, 422, 503), (path, name, answer.status_code)
        assert charlie_words(theirs) not in answers[-1][1], (path, name)
    assert answers[0][0] == answers[1][0]
    assert stored() == kept
