"""The calendar is imported by command from a file into a backend that is listening."""

import asyncio

import httpx
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("old-mac.csv", b"time,currency,priority\r2030-01-04T13:30:00Z,USD,high\r"),
        ("EXCEL.TXT", "time\tcurrency\tpriority\r\n2030-01-04T13:30:00Z\tUSD\thigh\r\n".encode("utf-16")),
        ("no-suffix", b"Time;Currency;Priority\n2030-01-04T13:30:00Z;usd;HIGH\n"),
        ("mark.json", b'\xef\xbb\xbf [{"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": "high"}]'),
    ],
)
async def test_files_of_every_origin_are_read(user, address, tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    await run(str(file), "--tenant", user.tenant, "--url", address)
    [event] = (await user.get("/users/current/news-calendar"))["events"]
    assert (event["currency"], event["priority"]) == ("USD", "high")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"time,currency,priority\r2030-01-04T13:30:00Z,USD,urgent\r", "line 2: must be one of"),
        (b"time,currency,priority\n2030-01-04T13:30:00Z,USD," + b"x" * 140_000, "line 2"),
        (b"", "the first line must name"),
        (b"\x89PNG\r\n\x1a\n\0\0", "UTF-8"),
        (b"time,currency,priority\n" * 60_000, "larger than"),
    ],
)
async def test_a_file_that_cannot_be_read_is_told_with_its_line(user, address, tmp_path, content, words):
    file = tmp_path / "calendar.csv"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=rf"refused the calendar: .*{words}.*Nothing was changed"):
        await run(str(file), "--tenant", user.tenant, "--url", address)


async def test_a_file_that_is_wrong_is_told(user, address, tmp_path):
    file = tmp_path / "calendar.json"
    file.write_text('{"events": [{"time": "2030-01-04T13:30:00Z", "currency": "USD", "priority": "huge"}]}')
    with pytest.raises(CommandError, match=r"events\.0\.priority"):
        await run(str(file), "--tenant", user.tenant, "--url", address)
    with pytest.raises(CommandError, match="cannot be read"):
        await run(str(tmp_path / "missing.csv"), "--url", address)


@pytest.mark.parametrize(
    ("end", "is_known"),
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("no answer"), True),
        (httpx.ReadTimeout(""), False),
        (httpx.RemoteProtocolError("cut off"), False),
        (httpx.Response(400, json={"message": "line 2"}), True),
        (httpx.Response(500, json={"message": "it broke"}), False),
        (httpx.Response(504, text="a proxy waited too long"), False),
    ],
)
def test_a_calendar_that_may_be_replaced_is_not_called_unchanged(end, is_known, tmp_path, monkeypatch):
    def put(*_, **__):
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(httpx, "put", put)
    file = tmp_path / "calendar.csv"
    file.write_text("time,currency,priority\n2030-01-04T13:30:00Z,USD,high\n")
    with pytest.raises(CommandError) as caught:
        call_command("importnews", str(file))
    assert ("is not known" in str(caught.value)) is not is_known
    assert not ("Nothing was changed" in str(caught.value) and not is_known)
