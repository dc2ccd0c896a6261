"""`python -m copying.engine`: compile the rules ahead of the first process that decides."""

from __future__ import annotations

import copying.engine.decide  # noqa: F401
