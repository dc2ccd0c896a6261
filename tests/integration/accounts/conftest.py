"""Accounts at a real embedded backend, over HTTP, as those of the forms are."""

from __future__ import annotations

from tests.integration.editing.conftest import desk, person, served

__all__ = ["desk", "person", "served"]
