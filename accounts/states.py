"""The states of a trading account: what the backend says of it and of its way to the broker, in words of one table.

What comes first in the table holds; `account_conditions` says what that follows from, for pages, filters and files
alike. A word of the backend's that is not known is shown as it came: never as connected.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Case, CharField, Exists, OuterRef, Q, Value, When
from django.db.models.functions import Now

from users.states import State, by_code
from users.syncing import failing_syncs

# the list of accounts is read once a minute, and a row that has not changed is marked as seen every few minutes
UNSEEN_AFTER = timedelta(minutes=20)
LOST = (
    "The terminal runs, but the broker does not answer it: a changed password, maintenance, or the weekend. "
    "Nothing is copied meanwhile"
)
OFFLINE = "It is started, but its terminal is not there. Nothing is copied; if it stays so, restart it"
NOT_SEEN = "The backend has not confirmed it lately: the sync fails, or the token may not see accounts any more"
BROKER_STATES = by_code(
    State("removed", "Removed", "quiet", "The backend does not have this account any more"),
    State("draft", "Waits for its login", "warn", "Whoever owns it enters login and password by a link"),
    State("start-failed", "Start failed", "bad", "Check login, password and server, then start it again"),
    State("stop-failed", "Stop failed", "bad", "It may still run, and be charged: try again"),
    State("restart-failed", "Restart failed", "bad", "Check login, password and server, then start it again"),
    State("removal-failed", "Removal failed", "bad", "It may still run, and be charged: try again"),
    State("removing", "Being removed", "warn"),
    State("starting", "Starting", "info", "The terminal is being started; that takes a minute or more"),
    State("stopping", "Stopping", "info"),
    State("stopped", "Stopped", "quiet", "It does not run: nothing is copied from it or to it"),
    State("unconfirmed", "Not confirmed", "warn", NOT_SEEN),
    State("broker-lost", "Broker connection lost", "bad", LOST),
    State("offline", "Offline", "bad", OFFLINE),
    State("connected", "Connected", "good", "The terminal runs and is logged in at the broker"),
    State("unknown", "Not known", "warn", "The backend uses a word for its state that is not known here"),
)
# in the order of the table: the backend's word for each state that has one of its own
WORDS = {
    "draft": ("DRAFT",),
    "start-failed": ("DEPLOY_FAILED",),
    "stop-failed": ("UNDEPLOY_FAILED",),
    "restart-failed": ("REDEPLOY_FAILED",),
    "removal-failed": ("DELETE_FAILED",),
    "removing": ("DELETING",),
    "starting": ("DEPLOYING",),
    "stopping": ("UNDEPLOYING",),
    "stopped": ("UNDEPLOYED", "CREATED"),
}
STATUSES = {"broker-lost": "DISCONNECTED_FROM_BROKER", "offline": "DISCONNECTED", "connected": "CONNECTED"}
ROLES = {"provider": "Provider", "subscriber": "Subscriber", "both": "Provider and subscriber", "none": "No role"}
ROLE_WORDS = {
    (): ROLES["none"],
    ("PROVIDER",): ROLES["provider"],
    ("SUBSCRIBER",): ROLES["subscriber"],
    ("PROVIDER", "SUBSCRIBER"): ROLES["both"],
}
MODES = {"hedging": "Hedging", "netting": "Netting"}
KINDS = {"demo": "Demo", "contest": "Contest", "real": "Real"}
# the vendor's own reason (CopyFactory's README), in our words
NETTING = (
    "Netting: it keeps one position per symbol, so that copies cannot be told apart. CopyFactory does not support "
    "netting accounts; open a hedging account at the broker."
)
# the states in which a person may ask for it
STARTABLE = ("stopped", "start-failed", "restart-failed", "stop-failed", "unknown")
STOPPABLE = ("connected", "broker-lost", "offline", "unconfirmed", "starting", "stop-failed", "start-failed", "unknown")
RESTARTABLE = ("connected", "broker-lost", "offline", "unconfirmed", "restart-failed", "unknown")


def account_conditions() -> dict[str, Q]:
    """What has to hold for each state but the last, in their order; each without those before it."""
    failing = failing_syncs().filter(connection_id=OuterRef("connection_id"))
    unseen = Q(seen_at__lt=Now() - UNSEEN_AFTER) | Q(connection__is_enabled=False)
    return {
        "removed": Q(is_removed=True),
        **{code: Q(state__in=words) for code, words in WORDS.items()},
        "unconfirmed": unseen | Q(Exists(failing)),
        **{code: Q(state="DEPLOYED", connection_status=status) for code, status in STATUSES.items()},
    }


def account_state() -> Case:
    """The code of the state as an expression over accounts."""
    cases = [When(condition, then=Value(code)) for code, condition in account_conditions().items()]
    return Case(*cases, default=Value("unknown"), output_field=CharField())


def role_code() -> Case:
    """What an account may be used for, as one word of ROLES."""
    return Case(
        When(is_provider=True, is_subscriber=True, then=Value("both")),
        When(is_provider=True, then=Value("provider")),
        When(is_subscriber=True, then=Value("subscriber")),
        default=Value("none"),
        output_field=CharField(),
    )
