"""What Celery runs for people: mails about their accounts, and housekeeping."""

from datetime import datetime

import structlog
from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from celery import shared_task
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from users import event_sending, mails, notice_packing, notice_sending, sending, throttle
from users.acting import Origin, acting
from users.audit import audit_faults, audit_head, record_audit, record_personal
from users.confirmations import confirmation_key
from users.models import EmailChange, User
from users.notice_telling import tell_of_device

log = structlog.get_logger(__name__)

MAIL = {"autoretry_for": (OSError,), "retry_backoff": 5, "max_retries": 5}
RESETS_PER_HOUR = 5  # the links of the mails before still work


@shared_task
def send_mails() -> int:
    """Send what waits in the outbox."""
    return sending.send_due()


@shared_task
def deliver_events() -> int:
    """Deliver the events that wait."""
    return event_sending.deliver_due()


@shared_task
def send_notices() -> int:
    """Pack and send what people are to be told."""
    return notice_sending.send_due()


@shared_task
def forget_events() -> int:
    """Forget events of more than a month ago, and notifications of more than three."""
    now = timezone.now()
    return event_sending.forget_old(now) + notice_packing.forget_old(now)


@shared_task
def clear_sessions() -> None:
    """Delete sessions that have ended."""
    call_command("clearsessions")


@shared_task(**MAIL)
def send_reset_link(email: str, origin: str) -> None:
    """Mail a link to whoever has the address; nobody has it: no mail to a stranger."""
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None or not throttle.may_act("reset", email, limit=RESETS_PER_HOUR, window_s=3600, now=timezone.now()):
        return
    uid, key = user_pk_to_url_str(user), default_token_generator.make_token(user)
    mails.send_reset_link(email, link_to(origin, "account_reset_password_from_key", uidb36=uid, key=key))


@shared_task(**MAIL)
def tell_of_new_password(user_id: int) -> None:
    """Tell a person that their password is another one."""
    mails.send_new_password_notice(User.objects.get(pk=user_id).email)


@shared_task(**MAIL)
def tell_of_new_device(user_id: int, device: str, source: str, at: str) -> None:
    """Tell a person of a sign-in on a device that was not used before."""
    user, moment = User.objects.get(pk=user_id), datetime.fromisoformat(at)
    key = f"device:{user_id}:{at}:{device}"
    if settings.MAIL_IS_SET_UP and tell_of_device(
        user, device=device, source=source, at=moment, key=key, now=timezone.now()
    ):
        notice_sending.wake()
        return
    # who belongs to no workspace, or one without a mail server of which the console shows mails
    mails.send_new_device_notice(user.email, device=device, source=source, at=f"{moment:%d %B %Y, %H:%M} UTC")


@shared_task(**MAIL)
def tell_of_factor(user_id: int, what: str) -> None:
    """Tell a person what happened to their second factor."""
    mails.send_factor_notice(User.objects.get(pk=user_id).email, what)


@shared_task
def note_failed_sign_in(email: str, origin: list[str]) -> None:
    """Note a wrong password in the log of each workspace of whoever has the address, or of none.

    A task, so that the answer takes as long for an address that nobody has.
    """
    user = User.objects.filter(email=email).first()
    with acting(Origin(*origin)):
        if user is None:
            record_audit(None, user=None, action="sign-in failed", subject="an unknown address")
        else:
            record_personal(user, "sign-in failed")


@shared_task
def check_audit() -> None:
    """Look for broken links of the audit log, and leave its end in the log of the program, where it is kept apart."""
    faults = audit_faults(most=10)
    if faults:
        log.error("the audit log is not whole", faults=[str(fault) for fault in faults])
    else:
        log.info("the audit log is whole", end=str(audit_head()))


@shared_task(**MAIL)
def send_email_confirmation(change_id: int, origin: str) -> None:
    """Mail the link to the new address; to one that somebody else has, nothing."""
    change = EmailChange.objects.filter(pk=change_id).first()
    if change and not User.objects.filter(email=change.email).exists():
        mails.send_email_confirmation(
            change.email, link_to(origin, "account_confirm_email", key=confirmation_key(change))
        )


@shared_task(**MAIL)
def tell_old_address(email: str, new_email: str, is_done: bool) -> None:
    """Tell the address so far that another one is wanted, or is in use."""
    mails.send_email_change_notice(email, new_email, is_done=is_done)


def link_to(origin: str, name: str, **arguments: str) -> str:
    """The full address of a page, for a mail."""
    return origin.rstrip("/") + reverse(name, kwargs=arguments)
