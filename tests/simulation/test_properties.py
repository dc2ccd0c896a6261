"""Properties of copying over worlds that hypothesis draws: sums, replays, and commands that arrive together."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from copying.backend.state.commands import Command
from tests.simulation.ledger import state
from tests.simulation.simulation import Simulation

seeds = st.integers(0, 2**32)


@settings(max_examples=12, deadline=None)
@given(seeds)
@example(4_717_231)  # a part of a subscription is made while an account is left out, then asked for by the whole plan
def test_positions_are_the_sum_of_deals_and_a_replay_is_the_same(seed: int) -> None:
    asyncio.run(Simulation(seed).run(30))  # the ledger checks both after every crash and at the end


async def play(seed: int, commands: list[Command] | None) -> tuple[list[Command], dict, list[str]]:
    """Commands one by one (drawn now, when None) or all at once: the commands, the state and the transactions."""
    world = Simulation(seed)
    world.move_prices()
    await world.start()
    for command in world.people.setup():
        await world.finish([world.send(command)])
    if commands is None:
        commands, random = [], Random(seed)
        for _ in range(random.randrange(2, 25)):
            command = world.people.command(world.core.book, world.now)
            commands.append(command)
            await world.finish([world.send(command)])
    else:
        await world.finish([world.send(command) for command in commands])
    await world.core.caught_up()
    await world.core.stop()
    found = state(world.core.book, world.market.prices)
    del found["sequence"]  # one that is refused alone is not journalled, together with others it is, without effect
    return commands, found, [row[1].split('"metrics"')[0] for row in world.disk.records["transactions"]]


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_commands_that_arrive_together_do_what_they_do_one_by_one(seed: int) -> None:
    commands, state_of_one_by_one, deals = asyncio.run(play(seed, None))
    _, state_of_all_at_once, same_deals = asyncio.run(play(seed, commands))
    different = [name for name, value in state_of_one_by_one.items() if value != state_of_all_at_once[name]]
    assert different == []
    assert same_deals == deals
