"""Whose consent a rise of a fee waits for, and the terms of each client until then.

Who copied a strategy when a rise was decided on keeps the earlier terms until consent is recorded; who subscribes
later, or again, takes the terms as they are. What costs a client no more holds for everybody at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.db import connection as database
from django.db import transaction
from django.db.models import Exists, OuterRef

from reporting.commission.beginning import is_rise
from reporting.commission.fees import fees_at
from reporting.commission.history import BEGINNING, History
from reporting.commission.policy import Policy
from reporting.commission.versions import (
    Dated,
    Key,
    KnownTerms,
    dated_fees,
    known_terms,
    length_of,
    merged_policies,
    rates_of,
    span_of,
)
from reporting.models import AccrualState, Subject, SubscriptionLifetime, TermsAnswer, TermsVersion
from subscribers.models import Subscriber
from users.models import Membership, User
from users.services import record_audit

_COMPUTE_AGAIN = """
UPDATE reporting_dailyresult SET is_accrued = false WHERE id IN (
    SELECT DISTINCT ON (subscriber_id) id FROM reporting_dailyresult
    WHERE connection_id = %s AND strategy_id = %s AND subscriber_id = ANY(%s) ORDER BY subscriber_id, day DESC)
"""


@dataclass(slots=True)
class ClientAnswers:
    """One client of a strategy: when its subscriptions began, from when each consent holds, and what it refused.

    consents, refused: by the id of the version.
    """

    subscriber_id: str = ""
    currency: str = ""
    starts: list[datetime] = field(default_factory=list)
    consents: dict[int, datetime] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    is_running: bool = False

    def was_asked(self, version: TermsVersion) -> bool:
        """Whether the client copied the strategy when the terms were decided on."""
        return any(start <= version.seen_at for start in self.starts)

    def agreed_from(self, version: TermsVersion) -> datetime | None:
        """From when the client pays by terms that cost it more; None while it does not."""
        begins = version.valid_from or BEGINNING
        if not self.was_asked(version):
            return begins
        moments = [start for start in self.starts if start > version.seen_at]
        if version.pk in self.consents:
            moments.append(self.consents[version.pk])
        return max(begins, min(moments)) if moments else None


OwnVersions = dict[Key, list[Dated]]
"""By subject the versions that one client pays by, each from when; oldest first."""

SUBJECTS = (Subject.COMMISSION, Subject.RATES, Subject.POLICY, Subject.FEES)


def own_versions(known: KnownTerms, answers: ClientAnswers) -> OwnVersions:
    """What one client pays by. Versions that cost it more count from its consent on, if it came before the next one."""
    keys: list[Key] = [(subject.value, "") for subject in SUBJECTS]
    keys += [(subject.value, answers.subscriber_id) for subject in (Subject.POLICY, Subject.FEES)]
    own: OwnVersions = {key: [] for key in keys}
    following: dict[int, TermsVersion] = {}
    for key in keys:
        versions = known.versions.get(key, [])
        following |= {version.pk: later for version, later in pairwise(versions)}
    offered = [version for key in own for version in known.versions.get(key, [])]
    for version in sorted(offered, key=lambda offer: (offer.valid_from or BEGINNING, offer.number)):
        key, moment = (version.subject, version.subscriber_id), version.valid_from
        if version.asks_consent and own[keys[0]]:
            before = _charged(own, answers, moment or BEGINNING)
            after = _charged(own | {key: [*own[key], (moment, version)]}, answers, moment or BEGINNING)
            if is_rise(before, after):
                agreed, later = answers.agreed_from(version), following.get(version.pk)
                if agreed is None or (
                    later is not None and later.valid_from is not None and agreed >= later.valid_from
                ):
                    continue
                moment = max(agreed, moment or BEGINNING)
        own[key].append((moment, version))
    return own


def _charged(own: OwnVersions, answers: ClientAnswers, moment: datetime) -> dict[str, Any]:
    """Scheme, rate in the client's currency, length of period and policy that a client pays by from a moment on."""
    begun = {key: [version for since, version in rows if (since or BEGINNING) <= moment] for key, rows in own.items()}
    if not begun[(Subject.COMMISSION.value, "")]:
        return {"scheme": "", "rate": "0", "billing_period": "month", "policy": Policy()}
    charged = dict(begun[(Subject.COMMISSION.value, "")][-1].terms)
    rates = begun[(Subject.RATES.value, "")]
    if rates and rates[-1].terms["scheme"] == charged["scheme"]:
        charged["rate"] = rates[-1].terms["rates"].get(answers.currency, charged["rate"])

    def begun_rows(subject: Subject, subscriber_id: str = "") -> list[Dated]:
        rows = own[(subject.value, subscriber_id)]
        return [(since, version) for since, version in rows if (since or BEGINNING) <= moment]

    policies = merged_policies(begun_rows(Subject.POLICY), begun_rows(Subject.POLICY, answers.subscriber_id))
    fees = dated_fees(begun_rows(Subject.FEES), begun_rows(Subject.FEES, answers.subscriber_id))
    terms = fees_at(fees, moment)
    of_strategy = begun_rows(Subject.FEES)
    if of_strategy and (length := length_of(of_strategy[-1][1])) is not None:
        charged["billing_period"] = str(length)
    if terms.rate is not None and terms.rate_scheme == charged["scheme"]:
        charged["rate"] = str(terms.rate)
    charged |= {"fees": terms, "currency": answers.currency}
    return charged | {"policy": policies[-1][1] if policies else Policy()}


def asks(known: KnownTerms) -> bool:
    """Whether the terms of a strategy may differ from client to client."""
    return any(version.asks_consent for versions in known.versions.values() for version in versions)


def is_offered(known: KnownTerms, version: TermsVersion) -> bool:
    """Whether clients may still agree to a version: none of its kind was set after it."""
    return known.versions.get((version.subject, version.subscriber_id), [version])[-1].pk == version.pk


def may_agree(known: KnownTerms, version: TermsVersion, answers: ClientAnswers) -> bool:
    """Whether a client that copies the strategy does not pay by an offered version; also who refused it may agree."""
    key = (version.subject, version.subscriber_id)
    if not version.asks_consent or not answers.is_running or not is_offered(known, version):
        return False
    own = own_versions(known, answers)
    return key in own and version.pk not in {own_version.pk for _, own_version in own[key][-1:]}


def to_answer(known: KnownTerms, answers: ClientAnswers) -> list[TermsVersion]:
    """The terms that a client which copies the strategy has yet to answer to."""
    newest = [known.versions[key][-1] for key in own_versions(known, answers) if known.versions.get(key)]
    return [version for version in newest if version.pk not in answers.refused and may_agree(known, version, answers)]


def agreed_histories(known: KnownTerms, clients: Iterable[ClientAnswers]) -> dict[str, History]:
    """By client whose terms are not those of the strategy, its own; clients that agreed at the same time share one."""
    shared: dict[tuple[Any, ...], History] = {}
    histories: dict[str, History] = {}
    for answers in clients:
        own = own_versions(known, answers)
        key = tuple((moment, version.pk) for rows in own.values() for moment, version in rows)
        plain = tuple(
            (known_version.valid_from, known_version.pk)
            for subject in own
            for known_version in known.versions.get(subject, [])
        )
        if key == plain:
            continue
        if key not in shared:
            shared[key] = _history(own, answers.subscriber_id)
        histories[answers.subscriber_id] = shared[key]
    return histories


def _history(own: OwnVersions, subscriber_id: str) -> History:
    """Periods are cut for all clients alike: their terms keep the length that was agreed on."""
    commissions, rates, of_strategy, of_client = (
        own[(Subject.COMMISSION.value, "")],
        own[(Subject.RATES.value, "")],
        own[(Subject.POLICY.value, "")],
        own[(Subject.POLICY.value, subscriber_id)],
    )
    spans = [span_of(version, moment) for moment, version in commissions]
    lengths = [(moment, length_of(version)) for moment, version in own[(Subject.FEES.value, "")]]
    spans = list(History(tuple(spans)).with_lengths(lengths).spans)
    history = History(
        tuple(
            replace(span, terms=replace(span.terms, agreed_period=span.length) if span.terms else None)
            for span in spans
        )
    ).with_rates([rates_of(version, moment) for moment, version in rates])
    fees = dated_fees(own[(Subject.FEES.value, "")], own[(Subject.FEES.value, subscriber_id)])
    return replace(history.with_policies(merged_policies(of_strategy, of_client)), fees=fees)


def read_answers(
    connection_id: int, strategy_ids: Collection[str], *, only: Collection[str] | None = None
) -> dict[str, dict[str, ClientAnswers]]:
    """By strategy and client, its subscriptions and what it answered. only: ids of these accounts; None: all."""
    clients: dict[str, dict[str, ClientAnswers]] = {strategy_id: {} for strategy_id in strategy_ids}
    if not strategy_ids:
        return clients
    accounts = Subscriber.objects.filter(connection_id=connection_id)
    among = {} if only is None else {"subscriber_id__in": only}
    if only is not None:
        accounts = accounts.filter(backend_id__in=only)
    currencies = dict(accounts.values_list("backend_id", "currency"))

    def client_of(strategy_id: str, subscriber_id: str) -> ClientAnswers:
        new = ClientAnswers(subscriber_id, currencies.get(subscriber_id, ""))
        return clients[strategy_id].setdefault(subscriber_id, new)

    lifetimes = SubscriptionLifetime.objects.filter(connection_id=connection_id, strategy_id__in=strategy_ids, **among)
    for strategy_id, subscriber_id, started_at, ended_at in lifetimes.order_by("started_at").values_list(
        "strategy_id", "subscriber_id", "started_at", "ended_at"
    ):
        client = client_of(strategy_id, subscriber_id)
        client.starts.append(started_at)
        client.is_running = ended_at is None
    answers = TermsAnswer.objects.filter(
        version__connection_id=connection_id, version__strategy_id__in=strategy_ids, **among
    ).order_by("pk")
    for strategy_id, subscriber_id, version_id, is_consent, holds_from in answers.values_list(
        "version__strategy_id", "subscriber_id", "version_id", "is_consent", "holds_from"
    ):
        client = client_of(strategy_id, subscriber_id)
        if is_consent and holds_from is not None:
            client.consents[version_id] = holds_from
        else:
            client.refused.add(version_id)
    return clients


@dataclass(frozen=True, slots=True)
class ConsentWaiting:
    """Clients of one strategy that have yet to answer to its newest terms."""

    connection_id: int
    strategy_id: str
    version: TermsVersion
    clients: int


def read_waiting(membership: Membership) -> list[ConsentWaiting]:
    """Where consent is waited for in a workspace."""
    own = TermsVersion.objects.visible_to(membership).filter(subject__in=SUBJECTS)
    asking = own.filter(connection_id=OuterRef("connection_id"), strategy_id=OuterRef("strategy_id"), asks_consent=True)
    rows: dict[int, dict[str, list[TermsVersion]]] = defaultdict(lambda: defaultdict(list))
    for version in own.filter(Exists(asking)).order_by("number"):
        rows[version.connection_id][version.strategy_id].append(version)
    waiting = []
    for connection_id, by_strategy in rows.items():
        answers = read_answers(connection_id, list(by_strategy))
        for strategy_id, versions in by_strategy.items():
            known = known_terms(versions)
            asked = Counter(
                version.pk for client in answers[strategy_id].values() for version in to_answer(known, client)
            )
            waiting += [
                ConsentWaiting(connection_id, strategy_id, version, asked[version.pk])
                for version in versions
                if asked[version.pk]
            ]
    return waiting


@transaction.atomic
def record_answers(
    version: TermsVersion,
    subscriber_ids: Iterable[str],
    *,
    is_consent: bool,
    note: str,
    by: User,
    now: datetime,
    evidence: Mapping[str, str] | None = None,
) -> int:
    """Note what clients answered; how many of them. Who consented has answered for good.

    evidence: address and digest of a client's own answer (TermsAnswer).

    A consent holds from now on and never reaches into settled periods.
    """
    own: dict[str, Any] = {"connection_id": version.connection_id, "strategy_id": version.strategy_id}
    AccrualState.objects.get_or_create(**own)
    state = AccrualState.objects.select_for_update().get(**own)  # an accrual sees all of it or nothing
    agreed = set(version.answers.filter(is_consent=True).values_list("subscriber_id", flat=True))
    clients = sorted(set(subscriber_ids) - agreed)
    moments = [moment for moment in (now, version.valid_from, state.settled_until) if moment is not None]
    TermsAnswer.objects.bulk_create(
        TermsAnswer(
            version=version,
            subscriber_id=subscriber_id,
            is_consent=is_consent,
            note=note,
            answered_at=now,
            recorded_by=by,
            holds_from=max(moments) if is_consent else None,
            **(evidence or {}),
        )
        for subscriber_id in clients
    )
    if is_consent:
        with database.cursor() as cursor:
            cursor.execute(_COMPUTE_AGAIN, [version.connection_id, version.strategy_id, clients])
        state.accrued_at = None  # a fixed fee is owed without any deal
        state.save(update_fields=["accrued_at"])
    if clients:
        record_audit(
            version.workspace,
            user=by,
            action="consent recorded" if is_consent else "refusal recorded",
            subject=version.strategy_id,
            now=now,
            details={"terms": version.number, "clients": clients, "note": note, **(evidence or {})},
        )
    return len(clients)
