"""The ECB's published file as tests need it, and a server on this machine that answers with it."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from reporting.rates import Rates, is_business_day, last_shipped_day, shipped_currencies

Days = dict[date, dict[str, Decimal]]


def business_days(first: date, count: int) -> list[date]:
    """So many days on which the ECB publishes, from the first one on."""
    days = []
    while len(days) < count:
        days += [first] if is_business_day(first) else []
        first += timedelta(days=1)
    return days


def published(*, before: int = 5, after: int = 3) -> Days:
    """Rates of the last shipped days as they are, then of days after them, each a thousandth higher."""
    end = last_shipped_day()
    known = [day for day in (end - timedelta(days=n) for n in range(2 * before + 7)) if is_business_day(day)][:before]
    values = {day: {name: Rates().on(day, "EUR", name).value for name in shipped_currencies()} for day in known}
    for step, day in enumerate(business_days(end + timedelta(days=1), after), start=1):
        factor = 1 + Decimal(step) / 1000
        values[day] = {name: round(value * factor, 6) for name, value in values[end].items()}
    return values


def as_xml(days: Days) -> bytes:
    """The form of eurofxref-hist-90d.xml, newest day first."""
    cubes = "".join(
        f'<Cube time="{day}">'
        + "".join(f'<Cube currency="{name}" rate="{value}"/>' for name, value in sorted(days[day].items()))
        + "</Cube>"
        for day in sorted(days, reverse=True)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"'
        ' xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>Reference rates</gesmes:subject>'
        f"<gesmes:Sender><gesmes:name>European Central Bank</gesmes:name></gesmes:Sender><Cube>{cubes}</Cube>"
        "</gesmes:Envelope>"
    ).encode()


def as_zip(days: Days) -> bytes:
    """The form of eurofxref-hist.zip: a column for each currency, N/A where it has none, a comma at the end."""
    names = sorted({name for values in days.values() for name in values})
    rows = ["Date," + ",".join(names) + ","]
    for day in sorted(days, reverse=True):
        rows.append(f"{day}," + ",".join(str(days[day].get(name, "N/A")) for name in names) + ",")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("eurofxref-hist.csv", "\n".join(rows))
    return packed.getvalue()


class Answers:
    """What the server says. stops_after: bytes after which it breaks off; pause_s: before each piece of 1 kB."""

    def __init__(self) -> None:
        self.content, self.status, self.stops_after, self.pause_s, self.requests = b"", 200, None, 0.0, 0


@contextmanager
def serving() -> Iterator[tuple[str, Answers]]:
    """(address, answers) of a server on the loopback interface."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.requests += 1
            self.send_response(answers.status)
            self.send_header("Content-Length", str(len(answers.content)))
            self.end_headers()
            sent = answers.content if answers.stops_after is None else answers.content[: answers.stops_after]
            try:
                for start in range(0, len(sent), 1024):
                    time.sleep(answers.pause_s)
                    self.wfile.write(sent[start : start + 1024])
            except OSError:
                pass  # the reader has had enough

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/eurofxref-hist-90d.xml", answers
    finally:
        server.shutdown()
        server.server_close()
