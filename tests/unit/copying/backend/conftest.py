"""A fresh desk for every scenario."""

from __future__ import annotations

import pytest

from tests.unit.copying.backend.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()
