"""The calendar is imported by command from a file into a backend that is listening."""

import asyncio

import pytest
import uvicorn
from django.core.management import CommandError, call_command

from copying.backend.service import listen

pytestmark = [pytest.mark.anyio, pytest.mark.django_db]


@pytest.fixture
async def address(backend):
    """The backend on a port of this machine, on the loop of the test."""
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(backend.app, log_level="critical", lifespan="off"))
    server.install_signal_handlers = lambda: None
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    server.should_exit = True
    await serving


async def run(*arguments):
    """The command in a thread, since it waits for the loop's answer."""
    return await asyncio.to_thread(call_command, "importnews", *arguments)


async def test_a_csv_replaces_the_calendar(user, address, tmp_path):
    file = tmp_path / "calendar.csv"
    file.write_text("time,currency,priority,breaking,title\n2030-01-04T13:30:00Z,USD,high,,Payrolls\n")
    await run(str(file), "--tenant", user.tenant, "--url", address)
    [event] = (await user.get("/users/current/news-calendar"))["events"]
    assert (event["currency"], event["title"], event["breaking"]) == ("USD", "Payrolls", False)


async def test_a_file_that_is_wrong_is_told(user, address, tmp_path):
    file = tmp_path / "calendar.json"
    file.write_text('{"events": [{"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": "huge"}]}')
    with pytest.raises(CommandError, match=r"events\.0\.priority"):
        await run(str(file), "--tenant", user.tenant, "--url", address)
    with pytest.raises(CommandError, match="cannot be read"):
        await run(str(tmp_path / "missing.csv"), "--url", address)
