"""What the portal writes to people about their accounts: plain text, the sentence that matters first.

Sent by tasks, except invitations, whose link nobody but the mail may keep.
"""

from __future__ import annotations

import structlog
from django.core.mail import send_mail

from users.models import Invitation, Workspace
from users.sending import sender_of

log = structlog.get_logger(__name__)

NOT_YOU = "Was it not you? Choose a new password at once, on the sign-in page under “Forgot the password?”."


def send(address: str, subject: str, *paragraphs: str, firm: Workspace | None = None) -> None:
    """One mail from DEFAULT_FROM_EMAIL, in the name of a firm where it is its. Raises OSError, as smtplib does."""
    subject = " ".join(subject.split())  # names of workspaces are free text, a subject is one line
    text, sender = "\n\n".join(paragraphs) + "\n", None
    if firm is not None:
        text, sender = firm.signed(text), sender_of(firm.sender)
    send_mail(subject, text, sender, [address])


def invite_by_mail(invitation: Invitation, link: str, *, inviter: str) -> bool:
    """Whether the mail server took the mail. At once: a task would keep the link in the queue."""
    try:
        send_invitation(
            invitation.email,
            link,
            firm=invitation.workspace,
            role=invitation.get_role_display().lower(),
            inviter=inviter,
            until=f"{invitation.expires_at:%d %B %Y, %H:%M} UTC",
        )
    except OSError as error:
        log.warning("invitation not mailed", reason=type(error).__name__)
        return False
    return True


def send_invitation(address: str, link: str, *, firm: Workspace, role: str, inviter: str, until: str) -> None:
    """How to become a member."""
    send(
        address,
        f"Your invitation to {firm.name}",
        f"{inviter} invites you to {firm.name} as {role}. Accept with this link:",
        link,
        f"It works once, until {until}. Do you not know {inviter}? Then do nothing.",
        firm=firm,
    )


def send_reset_link(address: str, link: str) -> None:
    """How to choose a new password."""
    send(
        address,
        "Choose a new password",
        "With this link you choose a new password. It works once, for an hour:",
        link,
        "Did you not ask for it? Then do nothing: your password stays as it is.",
    )


def send_new_password_notice(address: str) -> None:
    """That the password is another one."""
    send(address, "Your password was changed", "The password of your account was changed.", NOT_YOU)


def send_new_device_notice(address: str, *, device: str, source: str, at: str) -> None:
    """That somebody signed in from a device that was not used before."""
    send(
        address,
        "New sign-in to your account",
        "Somebody signed in to your account on a device that was not used for it before:",
        f"{device}, address {source}, {at}",
        f"Was it you? Then there is nothing to do. {NOT_YOU} That ends every session, theirs included.",
    )


FACTOR_NOTICES = {
    "set up": ("Your second factor is set up", "From now on a sign-in asks for a code of your app, too."),
    "removed": ("Your second factor was removed", "A sign-in no longer asks for a code: your password is enough."),
    "passkey added": ("A passkey was added to your account", "It signs you in without your password."),
    "passkey removed": ("A passkey was removed from your account", "It no longer signs you in."),
    "new recovery codes": ("You have new recovery codes", "Those that you had before no longer work."),
    "reset asked for": (
        "Your second factor is to be reset",
        "An owner of your workspace asked to take your second factor away. In 24 hours your password will be enough."
        " Did you not ask for it? Sign in and choose “Keep my second factor”.",
    ),
    "reset": ("Your second factor was reset", "A sign-in no longer asks for a code. Set a second factor up again."),
}


def send_factor_notice(address: str, what: str) -> None:
    """That something about the second factor is different; `what` is one of FACTOR_NOTICES."""
    subject, text = FACTOR_NOTICES[what]
    send(address, subject, text, NOT_YOU)


def send_email_confirmation(address: str, link: str) -> None:
    """How to confirm a new address."""
    send(
        address,
        "Confirm your new e-mail address",
        "Open this link and confirm, then you sign in with this address. It works for a day:",
        link,
        "Did you not ask for it? Then do nothing.",
    )


def send_email_change_notice(address: str, new_address: str, *, is_done: bool) -> None:
    """To the address so far: that another one is wanted, or is in use."""
    if is_done:
        subject = "Your e-mail address was changed"
        text = f"You now sign in with {new_address}. This address no longer works."
        after = "Was it not you? Tell the owner of your workspace at once."
    else:
        subject = "Your e-mail address is to be changed"
        text = f"Somebody who knows your password asked to sign in with {new_address} from now on."
        text += " That works once the address is confirmed; until then nothing changes."
        after = NOT_YOU
    send(address, subject, text, after)
