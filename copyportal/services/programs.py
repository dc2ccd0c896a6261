"""PostgreSQL's own programs: where they are, and which database they use, told past the list of processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from copyportal.services.servers import CannotStart, postgres_folder

VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


def program(name: str, version: int) -> Path:
    """A program of PostgreSQL that is at least as new as the server. Raises CannotStart when there is none."""
    folders = [Path(executable).resolve().parent] if (executable := shutil.which(name)) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    with contextlib.suppress(CannotStart):
        folders.insert(0, postgres_folder()[0])
    for folder in folders:
        path = folder / name
        if path.exists() and _version_of(path) >= version:
            return path
    raise CannotStart(f"No {name} of version {version} or newer was found: install postgresql-client-{version}.")


def _version_of(path: Path) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
    matched = re.search(r" (\d+)[.\d]*", said)
    return int(matched[1]) if matched else 0


def environment_of(target: dict[str, Any]) -> dict[str, str]:
    """Where the programs connect to; not in their arguments, which everybody on the machine can read."""
    return {**os.environ, **{VARIABLES[name]: str(value) for name, value in target.items()}}
