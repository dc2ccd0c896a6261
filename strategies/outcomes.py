"""What became of a signal over all accounts it reached, from its decisions: one state for toasts, lists and parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from users.states import State

ORDER = ("copied", "resized", "delayed", "skipped", "failed")
MOST_REASONS = 2


@dataclass(frozen=True)
class SignalOutcome:
    """counts: decisions by outcome; reasons: (code, how many) of what was not copied, most first."""

    counts: dict[str, int]
    reasons: list[tuple[str, int]]

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def words(self) -> str:
        """ "2 copied, 1 failed: unknown symbol"; "" while nothing was decided."""
        counted = ", ".join(f"{self.counts[name]:,} {name}" for name in ORDER if self.counts.get(name))
        if not self.reasons:
            return counted
        named = [reason.replace("-", " ") for reason, _ in self.reasons[:MOST_REASONS]]
        rest = len(self.reasons) - MOST_REASONS
        return f"{counted}: {', '.join(named)}" + (f" and {rest} more" if rest > 0 else "")

    def state(self, reached: int) -> State:
        """reached: accounts that copy the strategy. Green only when every account has its copy."""
        if not self.total:
            if reached:
                return State("waiting", "Waiting", "quiet", "No account has decided yet")
            return State("nobody", "Nobody copies it", "warn", "No account is subscribed to the strategy")
        done = self.counts.get("copied", 0) + self.counts.get("resized", 0)
        if self.counts.get("failed"):
            tone, code = "bad", "failed" if not done else "partly-failed"
        elif not done:
            tone, code = ("info", "delayed") if self.counts.get("delayed") else ("warn", "skipped")
        elif self.counts.get("skipped") or self.counts.get("delayed") or self.total < reached:
            tone, code = "info", "partly-copied"
        else:
            tone, code = "good", "copied"
        return State(code, self.words, tone)


def outcome_of(decisions: Iterable[tuple[str, str]]) -> SignalOutcome:
    """decisions: (outcome, reason), one for each way to an account, newest first or in any order."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for outcome, reason in decisions:
        counts[outcome] += 1
        if outcome in ("skipped", "failed"):
            reasons[reason] += 1
    return SignalOutcome(dict(counts), reasons.most_common())


def outcome_of_counts(rows: Iterable[tuple[str, str, int]]) -> SignalOutcome:
    """As `outcome_of`, from (outcome, reason, how many)."""
    return outcome_of((outcome, reason) for outcome, reason, number in rows for _ in range(number))
