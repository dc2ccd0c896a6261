"""The command line of the services: up, reset, and run (a command beside throw-away servers)."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path

from copyportal.services import CannotStart
from copyportal.services.installation import Installation


def main(arguments: list[str]) -> int:
    """Do what the arguments say; an expected obstacle is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m copyportal.services", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up", help="start everything and stay until Ctrl-C")
    actions.add_parser("reset", help="empty the data folder after asking").add_argument("--yes", action="store_true")
    run = actions.add_parser("run", help="run a command with throw-away PostgreSQL and Valkey")
    run.add_argument("command", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(arguments)
    from copyportal.services import supervisor

    try:
        if chosen.action == "run":
            command = [word for word in chosen.command if word != "--"] or parser.error("which command?")
            with tempfile.TemporaryDirectory(prefix="copyportal-", ignore_cleanup_errors=True) as folder:
                return supervisor.run_with_servers(command, dataclasses.replace(_place(), var=Path(folder)))
        if chosen.action == "reset":
            supervisor.reset(_place(), answer="yes" if chosen.yes else None)
        else:
            supervisor.up(_place())
    except CannotStart as error:
        print(f"copyportal: {error}", file=sys.stderr)
        return 1
    return 0


def _place() -> Installation:
    return Installation.from_environment()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
