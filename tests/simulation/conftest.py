"""How long and from which seed the simulation runs: `pytest tests/simulation --steps 10000 --seed 7`."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--steps", type=int, default=None, help="steps of the simulation per seed (600)")
    group.addoption("--seed", type=int, default=None, help="the only seed of the simulation (1, 2 and 3)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "simulated_seed" in metafunc.fixturenames:
        seed = metafunc.config.getoption("--seed", None)
        metafunc.parametrize("simulated_seed", [1, 2, 3] if seed is None else [seed])


@pytest.fixture
def simulated_steps(pytestconfig: pytest.Config) -> int:
    return pytestconfig.getoption("--steps", None) or 600


@pytest.fixture(scope="session", autouse=True)
def _one_secret() -> Iterator[None]:
    """Ids that are shown follow from the seed too: the secret behind them is the same in every world."""
    with patch("copying.backend.settings.rules.token_bytes", lambda size: bytes(range(size))):
        yield
