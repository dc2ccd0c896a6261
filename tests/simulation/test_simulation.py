"""The backend lives through thousands of random steps, crashes and restarts without losing or doubling anything.

By hand: pytest tests/simulation --steps 10000 --seed 7
"""

from __future__ import annotations

import asyncio

from tests.simulation.simulation import Simulation


def test_nothing_is_lost_or_doubled_whatever_dies_when(simulated_seed: int, simulated_steps: int) -> None:
    simulation = Simulation(simulated_seed)
    try:
        asyncio.run(simulation.run(simulated_steps))
    except BaseException as error:
        again = f"pytest tests/simulation --seed {simulated_seed} --steps {simulated_steps}"
        error.add_note(f"Seed {simulated_seed}, step {simulation.step} failed. Again: {again}")
        raise
    assert simulation.crashes > simulated_steps / 100
    assert sum(simulation.done.values()) > simulated_steps / 2
    assert simulation.ledger.records["transactions"]
    assert simulation.ledger.records["stopouts"]
    assert simulation.ledger.watch.arrived, "no webhook was posted to"
    assert simulation.refusals, "no signal met a clock that had stepped"
    assert simulation.ledger.watch.counted["ahead"], "the journal was never ahead of the clock"
    assert simulation.chats.heard, "nothing was published"
    assert simulation.disk.replaced, "no fault of one account was met"
    for rule in ("opened", "opened late", "own closed", "news"):
        assert simulation.ledger.watch.counted[rule], f"nothing was {rule}"
