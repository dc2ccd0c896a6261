"""A state as it is shown: one value that pages, lists, parts and files take from one function per kind of object."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class State:
    """code: for files and filters; words: for people; tone: good, info, warn, bad or quiet; why: on hover.

    `good` says that everything that bears on the object is known and fine, never merely that nothing else applies.
    """

    code: str
    words: str
    tone: str = "quiet"
    why: str = ""

    def because(self, why: str) -> State:
        """The same state with its reason in this case."""
        return replace(self, why=why)


def by_code(*states: State) -> dict[str, State]:
    """States by their codes, in the order in which they are offered as filters."""
    return {state.code: state for state in states}
