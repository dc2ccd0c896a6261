"""What clients are asked about their fees, on their own page: a rise waits for their answer (consent.py).

What was shown when they answered is kept as its digest, with the address that the answer came from.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef

from reporting.commission.consent import SUBJECTS, may_agree, own_versions, read_answers, record_answers
from reporting.commission.history import BEGINNING
from reporting.commission.versions import known_terms
from reporting.commission.wording import text_of
from reporting.models import TermsVersion
from strategies.models import Strategy
from subscribers.agreements import digest_of
from subscribers.models import Subscriber, Subscription
from users import acting
from users.models import Membership

NOTE = "On their own page"


@dataclass(frozen=True)
class FeeQuestion:
    """A rise of what one account pays for one strategy. now, then: in words; begins: None: from the answer on."""

    version: TermsVersion
    account: Subscriber
    strategy: str
    now: str
    then: str
    begins: datetime | None
    is_refused: bool

    @property
    def sentence(self) -> str:
        """What is agreed to, in full."""
        since = f"from {self.begins:%Y-%m-%d %H:%M} UTC on" if self.begins else "from your answer on"
        who = f"{self.account.name} ({self.account.backend_id})"
        return f"{who} pays for {self.strategy}: {self.then}, {since}. So far: {self.now}."

    @property
    def digest(self) -> str:
        return digest_of(self.sentence)


def questions_of(membership: Membership, now: datetime) -> list[FeeQuestion]:
    """What the client's accounts have not agreed to; also what they refused, as they may change their mind."""
    accounts = {
        (account.connection_id, account.backend_id): account
        for account in Subscriber.objects.visible_to(membership).filter(is_removed=False).order_by("name", "pk")
    }
    copied = Subscription.objects.filter(subscriber__in=accounts.values(), is_removed=False)
    pairs = set(copied.values_list("subscriber__connection_id", "strategy_backend_id"))
    if not pairs:
        return []
    asking = TermsVersion.objects.filter(
        connection_id=OuterRef("connection_id"), strategy_id=OuterRef("strategy_id"), asks_consent=True
    )
    versions = (
        TermsVersion.objects.filter(
            Exists(asking),
            workspace=membership.workspace_id,
            subject__in=SUBJECTS,
            strategy_id__in={strategy_id for _, strategy_id in pairs},
        )
        .select_related("workspace")
        .order_by("number")
    )
    by_strategy: dict[tuple[int, str], list[TermsVersion]] = defaultdict(list)
    for version in versions:
        if (version.connection_id, version.strategy_id) in pairs:
            by_strategy[version.connection_id, version.strategy_id].append(version)
    return [
        question
        for (connection_id, strategy_id), listed in by_strategy.items()
        for question in _of_strategy(connection_id, strategy_id, listed, accounts, now)
    ]


def _of_strategy(
    connection_id: int,
    strategy_id: str,
    versions: list[TermsVersion],
    accounts: dict[tuple[int, str], Subscriber],
    now: datetime,
) -> list[FeeQuestion]:
    known = known_terms(versions)
    own = [account for (connection, _), account in accounts.items() if connection == connection_id]
    answers = read_answers(connection_id, [strategy_id], only={account.backend_id for account in own})[strategy_id]
    named = Strategy.objects.filter(connection_id=connection_id, backend_id=strategy_id)
    name = named.values_list("name", flat=True).first() or strategy_id
    questions = []
    for account in own:
        client = answers.get(account.backend_id)
        if client is None:
            continue
        for key, paid in own_versions(known, client).items():
            newest = known.versions.get(key, [])[-1:]
            if not newest or not may_agree(known, newest[0], client):
                continue
            begun = [version for since, version in paid if (since or BEGINNING) <= now]
            begins = newest[0].valid_from if newest[0].valid_from and newest[0].valid_from > now else None
            words = text_of(begun[-1], {}) if begun else "nothing"
            is_refused = newest[0].pk in client.refused
            questions.append(FeeQuestion(newest[0], account, name, words, text_of(newest[0], {}), begins, is_refused))
    return questions


def answer_question(
    membership: Membership, version_pk: int, account_pk: int, digest: str, *, is_consent: bool, now: datetime
) -> FeeQuestion | None:
    """Record a client's answer; None: it is not asked, or it says something else by now than was read."""
    for question in questions_of(membership, now):
        if (question.version.pk, question.account.pk, question.digest) == (version_pk, account_pk, digest):
            evidence = {"address": acting.current().address[:64], "digest": digest}
            record_answers(
                question.version,
                [question.account.backend_id],
                is_consent=is_consent,
                note=NOTE,
                by=membership.user,
                now=now,
                evidence=evidence,
            )
            return question
    return None
