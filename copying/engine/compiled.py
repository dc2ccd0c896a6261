"""How rules become machine code: small functions of one route, compiled with numba into one loop over all of them.

Compiled when the module of the loop is imported, never later, and kept on disk: beside the source, else where
NUMBA_CACHE_DIR or the user's cache is, else nowhere. With NUMBA_DISABLE_JIT=1 everything stays Python, with the same
answers. No fast arithmetic and no threads: the numbers are those of the same operations in Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

Loop = Callable[..., None]
"""Fills the arrays that it is given."""

rule = numba.njit(error_model="numpy", forceinline=True)
"""Decorates a rule: it becomes a part of the loop that calls it."""


def compiled(*arguments: Any) -> Callable[[Loop], Loop]:
    """Decorates a loop over routes. arguments: the types of its arguments, as `array_of` or numba name them."""

    def compile_now(loop: Loop) -> Loop:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # numba sets its variables when it starts
            return np.errstate(all="ignore")(loop)
        # numba looks for changes in the loop's own file only: files of the cache are named after all rules
        loop.__qualname__ += f"_{digest_of_sources()}"
        signature = numba.void(*arguments)
        try:
            at_once: Loop = numba.njit(signature, error_model="numpy", cache=True)(loop)
        except Exception:  # no place for the cache, a full disk, a file that was cut off: any start must work
            at_once = numba.njit(signature, error_model="numpy")(loop)
        return at_once

    return compile_now


def entry_of(loop: Loop) -> Loop:
    """The machine code of a compiled loop itself, without numba's look at the types of each argument.

    That look costs more than deciding a hundred routes, most of it for named tuples. Whoever calls the entry sees to it
    that every array has its declared type and is contiguous: machine code reads whatever it is handed.
    """
    overloads = getattr(loop, "overloads", None)
    return next(iter(overloads.values())).entry_point if overloads else loop


def array_of(kind: np.dtype | type, dimensions: int = 1) -> numba.types.Array:
    """The type of a contiguous array."""
    return numba.types.Array(numba.from_dtype(np.dtype(kind)), dimensions, "C")


def tuple_of(kind: type, *fields: numba.types.Type) -> numba.types.NamedTuple:
    """The type of a named tuple with these fields."""
    return numba.types.NamedTuple(fields, kind)  # type: ignore[no-untyped-call]  # numba has no types of its own


def record(**fields: np.dtype | str) -> np.dtype:
    """The type of records whose fields rules read by name."""
    return np.dtype((np.record, np.dtype(list(fields.items()), align=True)))


def digest_of_sources() -> str:
    """Changes with any file of the engine."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.blake2b(b"".join(source.read_bytes() for source in sources), digest_size=8).hexdigest()
