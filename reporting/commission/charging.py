"""The ledger accounts of a connection: whose deals count for which strategy, and on which terms for whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from reporting.commission.consent import agreed_histories, asks, read_answers
from reporting.commission.history import BEGINNING, CalendarSpan, History, SpannedCalendar
from reporting.commission.incoming import MemberTerms
from reporting.commission.observing import follow_subscriptions, observe
from reporting.commission.policy import Basis, Crystallised, Floating, Scheme, Scope
from reporting.commission.schemes import PER_DEAL
from reporting.commission.versions import KnownTerms, known_terms

ENDLESS = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Passing:
    """Everybody that a pass takes up, in order, with the number of deals of each: counted once for all its slices."""

    key: str
    subscribers: list[str]
    deals: dict[str, int]


@dataclass(slots=True)
class StrategyAccount:
    """One strategy's side of the ledger: whose deals count for it and on which terms.

    history: what the strategy charges; empty where its deals count for another account. calendar: how its periods are
    cut. sources: ids of the strategies whose deals are measured; more than one where a client's mark spans strategies.
    overrides: histories of subscriptions with a policy of their own. agreed: of clients that did not agree to all terms
    of the strategy, or later. members: of a portfolio, terms by which its owner owes its members' providers; booked in
    the portfolio's periods, a fixed fee is counted by the member's own.
    memberships: from when on a leaf strategy's deals come through which member, the leaf itself or a portfolio around
    it; oldest first. passing: the pass that is under way, if there is one.
    """

    connection_id: int
    strategy_id: str
    history: History
    calendar: tuple[CalendarSpan, ...]
    sources: list[str]
    overrides: dict[str, History] = field(default_factory=dict)
    agreed: dict[str, History] = field(default_factory=dict)
    members: dict[str, MemberTerms] = field(default_factory=dict)
    memberships: list[tuple[datetime | None, dict[str, str]]] = field(default_factory=list)
    passing: Passing | None = None

    def history_of(self, subscriber_id: str) -> History:
        """The terms of one subscriber: what it agreed to, else the strategy's; with its own policy where it has one."""
        return self.agreed.get(subscriber_id) or self.overrides.get(subscriber_id, self.history)

    def member_at(self, leaf: str, moment: datetime) -> str:
        """Through which member a leaf's deal came; empty: through none. What left is settled by the member it left."""
        begun = (through for since, through in reversed(self.memberships) if (since or BEGINNING) <= moment)
        return next((through[leaf] for through in begun if leaf in through), "")

    @property
    def offered(self) -> list[History]:
        """What changes for many at once: of the strategy, of policies, of members. A consent is one client's matter."""
        return [self.history, *self.overrides.values(), *(member.history for member in self.members.values())]

    @property
    def histories(self) -> list[History]:
        """Everything by which somebody is owed something."""
        return [*self.offered, *{id(history): history for history in self.agreed.values()}.values()]

    @property
    def charges(self) -> bool:
        """Whether anything is, was or will be owed."""
        return any(history.charges for history in self.histories)

    @property
    def has_fees(self) -> bool:
        """Whether somebody's terms have fees beside the commission, or lower its rate."""
        return any(history.fees for history in self.histories)

    def fee_digest(self, now: datetime) -> list[object]:
        """What changes when fees beside the commission do, or one of their spans begins; empty where there are none."""
        fees = [history.fees for history in self.offered if history.fees]
        begun = sum((span.since or BEGINNING) <= now for spans in fees for span in spans)
        return [*fees, begun] if fees else []

    @property
    def needs_valuations(self) -> bool:
        """Whether lines depend on the account's balance or equity."""
        charged = [span.terms for history in self.histories for span in history.spans if span.terms is not None]
        if any(span.terms.management for history in self.histories for span in history.fees):
            return True
        return any(
            terms.policy.basis is Basis.EQUITY
            or terms.policy.floating is not Floating.REALISED
            or terms.policy.hurdle_rate
            for terms in charged
            if terms.scheme is Scheme.HIGH_WATER_MARK
        )

    @property
    def needs_flows(self) -> bool:
        """Whether lines depend on money that was paid in or out."""
        charged = [span.terms for history in self.histories for span in history.spans if span.terms is not None]
        cuts = (
            terms.policy.crystallised is Crystallised.WITHDRAWAL
            for terms in charged
            if terms.scheme is Scheme.HIGH_WATER_MARK
        )
        return self.needs_valuations or any(cuts)

    def schemes_since(self, since: datetime | None) -> frozenset[Scheme]:
        """The schemes that charge somebody for something from `since` on (None: ever)."""
        if not all(map(_is_plain, self.histories)):
            return frozenset(Scheme)
        return frozenset(scheme for history in self.histories for scheme in _schemes_of(history, since))

    def charged_by_deal(self, subscriber_ids: Iterable[str], since: datetime | None) -> set[str]:
        """Those of whom every line from `since` on is for one deal, and follows from that deal alone."""
        if self.members or not _is_plain(self.history) or not _schemes_of(self.history, since) <= PER_DEAL.keys():
            return set()
        # a consent changes the whole open end of a client's own terms, not only days with new deals
        return {subscriber_id for subscriber_id in subscriber_ids if self.history_of(subscriber_id) is self.history}

    def needs_single_deals(self, since: datetime | None) -> bool:
        """Whether what is owed from `since` on depends on more than sums of deals between moments known beforehand."""
        charged = [span.terms for history in self.histories for span in history.spans if span.terms is not None]
        ends_with_client = any(terms.policy.crystallised is not Crystallised.PERIOD_END for terms in charged)
        # fees beside the commission count as every scheme: a client's trial or discount cuts at moments of its own
        is_by_sums = self.schemes_since(since) <= {Scheme.HIGH_WATER_MARK, Scheme.FLAT_FEE}
        return bool(self.members) or self.needs_flows or ends_with_client or not is_by_sums

    @property
    def bases(self) -> frozenset[Basis]:
        """What marks measure, of all times."""
        charged = (span.terms for history in self.histories for span in history.spans)
        return frozenset(terms.policy.basis for terms in charged if terms and terms.scheme is Scheme.HIGH_WATER_MARK)

    def grows_with_time(self, since: datetime | None, now: datetime) -> bool:
        """Whether an accrual of [since, now) changes although no deal was made."""
        charged = [terms for history in self.histories for _, _, terms in history.pieces(since or BEGINNING, now)]
        has_minimum = any(span.terms.minimum for history in self.histories for span in history.fees)
        is_by_days = any(terms and terms.scheme is Scheme.FLAT_FEE for terms in charged)
        return self.needs_flows or has_minimum or is_by_days

    def has_mark(self, since: datetime | None, now: datetime) -> bool:
        """Whether a mark is in force at some time of [since, now)."""
        charged = [terms for history in self.histories for _, _, terms in history.pieces(since or BEGINNING, now)]
        return any(terms and terms.scheme is Scheme.HIGH_WATER_MARK for terms in charged)


def _is_plain(history: History) -> bool:
    """Whether nothing but spans of a scheme charges."""
    return history == History(history.spans)


def _schemes_of(history: History, since: datetime | None) -> set[Scheme]:
    return {terms.scheme for _, _, terms in history.pieces(since or BEGINNING, ENDLESS) if terms is not None}


def read_accounts(connection_id: int, now: datetime) -> list[StrategyAccount]:
    """The ledger accounts of a connection's strategies, those without a commission included.

    What changed since the last look begins a new span of terms.
    """
    follow_subscriptions(connection_id, now)
    stated, versions = observe(connection_id, now)
    known = {strategy_id: known_terms(versions.get(strategy_id, [])) for strategy_id in stated}
    answers = read_answers(connection_id, [strategy_id for strategy_id, subject in known.items() if asks(subject)])
    accounts = []
    for strategy_id in stated:
        own = known[strategy_id]
        charged = own.history
        history = replace(charged.with_policies(own.policies()), fees=own.fees())
        overrides = {
            client: replace(charged.with_policies(own.policies(client)), fees=own.fees(client))
            for client in own.overridden
        }
        account = StrategyAccount(connection_id, strategy_id, history, own.calendar, [strategy_id], overrides)
        account.agreed = agreed_histories(own, answers.get(strategy_id, {}).values())
        _add_members(account, own, known)
        accounts.append(account)
    _net_over_client(accounts)
    return accounts


def _add_members(account: StrategyAccount, own: KnownTerms, known: dict[str, KnownTerms]) -> None:
    """Members of a portfolio that charge something, from when to when they were members."""
    account.memberships = own.members
    for member in sorted({member for _, through in own.members for member in through.values()}):
        if member not in known:
            continue
        times = [(since, member in through.values()) for since, through in own.members]
        history = known[member].history.during(times)
        if history.charges:
            calendar = SpannedCalendar.of(known[member].calendar)
            account.members[member] = MemberTerms(history, calendar)


def _net_over_client(accounts: list[StrategyAccount]) -> None:
    """Strategies whose policy nets over the client are booked together, on the first of them by id."""
    netted = []
    for account in accounts:
        newest = account.history.newest
        terms = newest.terms if newest else None
        if terms and terms.scheme is Scheme.HIGH_WATER_MARK and terms.policy.scope is Scope.CLIENT:
            netted.append(account)
    for account in netted[1:]:
        netted[0].sources.append(account.strategy_id)
        account.history, account.agreed, account.members = History(fees=account.history.fees), {}, {}
