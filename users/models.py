"""People, their workspaces (one firm each), memberships with a role, and the workspace's backend connections.

Everything else belongs to a workspace through these models. No trading rule lives here.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.validators import MinValueValidator
from django.db import models

from copying.client import (
    DEFAULT_DOMAIN,
    Client,
    PrivateReach,
    Unauthorised,
    host_and_port,
    parse_reach,
    shared_discovery,
)
from users.events import EventDelivery, EventEndpoint, PortalEvent
from users.notices import (
    Notice,
    NoticeChoice,
    NoticeMessage,
    NoticePart,
    NoticeStart,
    NoticeTarget,
    TelegramBot,
)
from users.outbox import Mail, MailState
from users.secrets import EncryptedTextField

__all__ = [  # the others are written here
    "EventDelivery",
    "EventEndpoint",
    "Mail",
    "MailState",
    "Notice",
    "NoticeChoice",
    "NoticeMessage",
    "NoticePart",
    "NoticeStart",
    "NoticeTarget",
    "PortalEvent",
    "TelegramBot",
]


class UserManager(BaseUserManager["User"]):
    """Makes people; an e-mail address is the sign-in name and is stored in lower case."""

    def create_user(self, email: str, password: str | None = None, **fields) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    timezone = models.CharField(max_length=64, blank=True, help_text="Empty: the workspace's zone.")
    theme = models.CharField(max_length=5, blank=True, choices=[("light", "Light"), ("dark", "Dark")])
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects = UserManager()
    USERNAME_FIELD = "email"

    def __str__(self) -> str:
        return self.name or self.email


class EmailChange(models.Model):
    """An address that a person wants to sign in with, until its owner has confirmed it by the link in a mail."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="email_change")
    email = models.EmailField()
    requested_at = models.DateTimeField()
    works_until: datetime  # put on it by the page that shows it

    def __str__(self) -> str:
        return f"{self.user} to {self.email}"


class Workspace(models.Model):
    """One firm: everything of the portal belongs to exactly one workspace."""

    name = models.CharField(max_length=120)
    timezone = models.CharField(max_length=64, default="UTC", help_text="Billing periods are cut at its midnight.")
    reporting_currency = models.CharField(max_length=3, default="USD")
    week_starts_monday = models.BooleanField(default=False)
    accent = models.CharField(max_length=16, default="blue", help_text="Of a list, or a colour as #rrggbb.")
    logo_digest = models.CharField(max_length=64, blank=True, default="", db_default="", help_text="Of its Logo.")
    mail_sender = models.CharField(max_length=120, blank=True, default="", db_default="")
    mail_footer = models.TextField(max_length=1000, blank=True, default="", db_default="")
    asks_consent = models.BooleanField(
        default=True, db_default=True, help_text="A rise of a fee waits for the consent of each client."
    )
    asks_approval = models.BooleanField(
        default=False, db_default=False, help_text="Closing and issuing wait for a second person."
    )
    factor_roles = models.JSONField(
        default=list, db_default=[], help_text="The roles that need a second factor: a list of Role."
    )
    is_demo = models.BooleanField(default=False, help_text="Demo data and a simulated market: labelled everywhere.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def own_colour(self) -> str:
        """Of its pages, as rrggbb; empty: one of the list."""
        return self.accent[1:] if self.accent.startswith("#") else ""

    @property
    def sender(self) -> str:
        """Whom mails to its people come from."""
        return self.mail_sender or self.name

    def signed(self, text: str) -> str:
        """The text of a mail with what stands below every mail."""
        return f"{text.rstrip()}\n\n-- \n{self.mail_footer.strip()}\n" if self.mail_footer.strip() else text


class Logo(models.Model):
    """A firm's picture on its pages and documents. Rows stay: what was issued with one is printed with it again.

    digest: SHA-256 of the file as hex, by which everybody who sees a page gets it; width, height: pixels.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="logos", db_index=False)
    digest = models.CharField(max_length=64, db_index=True)
    png = models.BinaryField()
    width = models.PositiveSmallIntegerField()
    height = models.PositiveSmallIntegerField()
    added_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "digest"], name="one_row_per_logo")]

    def __str__(self) -> str:
        return f"{self.workspace}: {self.digest[:8]}"


class Role(models.TextChoices):
    """What a member may do (docs/guide.md, "People")."""

    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    ACCOUNTANT = "accountant", "Accountant"
    VIEWER = "viewer", "Viewer"
    SUBSCRIBER = "subscriber", "Subscriber"


STAFF_ROLES = (Role.OWNER, Role.MANAGER, Role.ACCOUNTANT, Role.VIEWER)


class Membership(models.Model):
    """A person's role in a workspace: at most one as staff, and one as client."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    deactivated_at = models.DateTimeField(null=True, help_text="Since when the member is shut out; null: is not.")

    class Meta:
        constraints = [
            # whoever works for the firm may also be its client, and then chooses as what they look at it
            models.UniqueConstraint(
                fields=["workspace", "user"],
                condition=~models.Q(role="subscriber"),
                name="one_staff_role_per_workspace",
            ),
            models.UniqueConstraint(
                fields=["workspace", "user"], condition=models.Q(role="subscriber"), name="one_client_per_workspace"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"

    @property
    def is_staff_role(self) -> bool:
        """Whether the member sees the manager's pages."""
        return self.role in STAFF_ROLES


class FactorReset(models.Model):
    """Takes the second factor of somebody who lost it away, unless they object until it is due."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="factor_reset")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    due_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user} at {self.due_at}"


class Invitation(models.Model):
    """Asks an e-mail address to become a member with a role. Kept after it was accepted or revoked.

    Only the digest of its link's token is stored. The accounts that a client will see: `subscribers.InvitationAccess`.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=12, choices=Role.choices)
    token_digest = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(help_text="When its present link was made.")
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    revoked_at = models.DateTimeField(null=True)
    is_expired: bool  # put on it by the list of those that wait

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_waiting_invitation_per_address",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} ({self.role})"

    def state(self, now: datetime) -> str:
        """accepted, revoked, expired or open."""
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "open" if now < self.expires_at else "expired"


class Connection(models.Model):
    """A copying backend that a workspace uses: an address of the REST contract and a write-only token.

    base_url empty means: discover the regions of `domain` (contract, 1.2).
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="connections")
    name = models.CharField(max_length=120)
    base_url = models.URLField(blank=True, max_length=300)
    domain = models.CharField(blank=True, max_length=200, default="")
    token = EncryptedTextField()
    token_hint = models.CharField(max_length=4, blank=True, help_text="Last characters of the token, for recognition.")
    token_destination = models.CharField(
        max_length=520,
        default="",
        db_default="",
        help_text="The destination the token was typed for; it goes to no other.",
    )
    is_enabled = models.BooleanField(default=True)
    kept_private = models.CharField(
        max_length=300,
        default="",
        db_default="",
        help_text="The private address that it led to before private ones were refused; it may go on with that one.",
    )
    market_is_simulated = models.BooleanField(
        null=True, help_text="As the backend says of its accounts: any is simulated, none is; null: it does not say."
    )
    requests_per_minute = models.PositiveIntegerField(default=600, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @property
    def destination(self) -> str:
        """Where the token goes: the address, or the domain whose regions are looked up."""
        return self.base_url or f"domain {self.domain}"

    def set_token(self, token: str) -> None:
        """Use a token that was typed for the present destination."""
        self.token, self.token_hint = token.strip(), token.strip()[-4:]
        self.token_destination = self.destination

    def save(self, **options) -> None:
        if self._state.adding and not self.token_destination:
            self.token_destination = self.destination
        super().save(**options)

    @property
    def reach(self) -> PrivateReach:
        """Which private addresses its client may connect to: those that the installation names."""
        private = [self.kept_private] if self.kept_private and self.kept_private == self.base_url else []
        return parse_reach((*settings.PRIVATE_BACKENDS, *filter(None, [settings.BACKEND_URL]), *private))

    def may_reach_host(self) -> bool:
        """False: its address is a private number that may not be reached. What names stand for is seen when it is."""
        try:
            host, port = host_and_port(self.base_url)
            return self.reach.allows(host, port, ip_address(host))
        except ValueError:
            return True

    def client(self, **options) -> Client:
        """A client of this backend, to be closed by the caller; `options` are those of `copying.client.Client`.

        Raises Unauthorised when the destination is not the one the token was typed for, however it was changed: whoever
        may change an address must not be able to read the token that nobody may read.
        """
        if self.token_destination != self.destination:
            raise Unauthorised(f"The address of {self.name} was changed: type its token again, in the settings.")
        named = {"name": self.name, "reach": self.reach, **options}
        if self.base_url:
            return Client(self.token, base_url=self.base_url, **named)
        domain = self.domain or DEFAULT_DOMAIN
        return Client(self.token, domain=domain, discovery=shared_discovery(domain, self.token), **named)


class AuditEntry(models.Model):
    """Who did what, when, from where, to which object (users/audit.py). Rows are only ever added.

    actor: the person's address as it was then, and the name of a token, task or command; via: which of these.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # no constraints: a row outlives the people and firms that it names
    workspace = models.ForeignKey(
        Workspace, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="audit_entries"
    )
    user = models.ForeignKey(User, null=True, on_delete=models.DO_NOTHING, db_constraint=False)
    via = models.CharField(max_length=12, default="", db_default="")
    actor = models.CharField(max_length=320, default="", db_default="")
    address = models.CharField(max_length=64, default="", db_default="")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200)
    details = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["workspace", "-occurred_at"], name="audit_by_time")]


class AuditSeal(models.Model):
    """The place of an entry in the chain, written by the database when the entry is committed, and by nobody else."""

    number = models.BigIntegerField(primary_key=True)
    entry_id = models.UUIDField(unique=True)
    digest = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.number}"


class SignInSession(AbstractBaseSession):
    """A session; its key is stored as a digest, so that who reads the database cannot use it (users/sessions.py)."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=64, default="")
    device = models.CharField(max_length=80, default="")


class FormPost(models.Model):
    """A form that was sent and must act once (users/once.py). answer: null while the first post is being answered."""

    key = models.CharField(max_length=64, primary_key=True, help_text="Digest of the person, the address, the token.")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    posted_at = models.DateTimeField()
    answer = models.JSONField(null=True, help_text="What was said: a list of level and text.")
    address = models.CharField(max_length=500, blank=True, default="", help_text="Where the first post led to.")

    class Meta:
        indexes = [models.Index(fields=["workspace", "posted_at"], name="form_post_by_age")]
