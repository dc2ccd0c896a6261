"""Starts the embedded copying backend (docs/copying.md)."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from copying.backend.market.ecb import EcbMarket
from copying.backend.market.replay import NoQuotes, ReplayFeed
from copying.backend.service import CannotServe, listen, serve


class Command(BaseCommand):
    """One writer per data set; ends on SIGTERM with a snapshot."""

    help = "Runs the embedded copying backend: the CopyFactory REST contract over paper accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.BACKEND_PORT)
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument(
            "--quotes", type=Path, help="CSV of time,symbol,bid,ask to replay instead of the ECB market"
        )
        parser.add_argument(
            "--stand-by", action="store_true", help="follow the backend that works on this database and take its place"
        )
        parser.add_argument("--tls", action="store_true", help="serve HTTPS with a certificate made for loopback names")
        parser.add_argument("--tls-port", type=int, default=0, help="serve HTTPS there, too, beside HTTP on --port")

    def handle(
        self,
        *args: Any,
        port: int,
        host: str,
        quotes: Path | None,
        tls: bool,
        tls_port: int,
        stand_by: bool,
        **options: Any,
    ) -> None:
        from copying.backend.http.options import database_url

        try:
            feed = ReplayFeed(quotes, start=_now()) if quotes else EcbMarket()
            certificate = _certificate(port) if tls else None
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                bind = partial(listen, host, port)
                beside = (partial(listen, host, tls_port), _certificate(tls_port)) if tls_port else None
                serving = serve(database_url(), feed, bind, certificate=certificate, beside=beside, stands_by=stand_by)
                runner.run(serving)
        except (CannotServe, NoQuotes) as error:
            raise CommandError(str(error)) from error
        except (KeyboardInterrupt, asyncio.CancelledError):  # a stand-by was told to end
            pass


def _now() -> float:
    from django.utils import timezone

    return timezone.now().timestamp()


def _certificate(port: int) -> tuple[Path, Path]:
    from copying.backend.tls import self_signed

    return self_signed(settings.VAR, port)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
