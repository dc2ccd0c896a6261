"""What `make up`, `make reset` and `make test` do: the order of the steps, and nothing about how a step works."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from copying.contract.hosts import names_under
from copyportal.services import CannotStart
from copyportal.services.crew import Crew, Stopped, say
from copyportal.services.installation import Installation, require_free_port
from copyportal.services.portal import Portal
from copyportal.services.process import die_with_parent
from copyportal.services.servers import Postgres, Valkey


def up(place: Installation) -> None:
    """Run the portal until asked to stop. Raises CannotStart with a sentence for the person."""
    place.make_folders()
    crew = Crew(place.var / "logs")
    crew.listen()
    with place.locked():
        try:
            environment = _start(place, crew)
            with place.published(environment):
                crew.watch()
        except Stopped:
            pass
        finally:
            say("", "Stopping ...")
            crew.stop()
            say("", "Stopped.")


def _start(place: Installation, crew: Crew) -> dict[str, str]:
    """Servers, migrations, backend, worker, web, demo, beat; side by side where the order allows it."""
    began_at = time.monotonic()
    backend_is_ours = not os.environ.get("BACKEND_URL")
    require_free_port(place.bind, place.port, "PORT")
    if backend_is_ours:
        require_free_port("127.0.0.1", place.backend_port, "BACKEND_PORT")
        if place.tls_port:
            require_free_port("127.0.0.1", place.tls_port, "TLS_PORT")
    environment = _environment(place)
    portal = Portal(place, environment)
    collecting = None
    if not portal.static_is_current():
        collecting = crew.begin("static", portal.collect_static(), dict(environment))
    compiling = crew.begin("rules", portal.compile_rules(), dict(environment)) if backend_is_ours else None
    _start_servers(place.var, crew, environment)
    state = _prepare(portal, crew)
    if backend_is_ours:
        environment |= {"BACKEND_URL": f"http://127.0.0.1:{place.backend_port}", "BACKEND_TOKEN": state["token"]}
    crew.launch(portal.worker())
    if compiling is not None:
        crew.finish(compiling, "The copying rules could not be compiled")
    makes_demo = backend_is_ours and place.demo and state["wants_demo"]
    if makes_demo:
        making = crew.begin("demo", portal.command("demo", "history"), environment)
        crew.finish(making, "The demo's history could not be made")
    if backend_is_ours:
        crew.launch(portal.backend())
    if collecting is not None:
        crew.finish(collecting, "The static files could not be collected")
        portal.mark_static_as_current()
    crew.launch(portal.web())
    if not makes_demo:
        crew.launch(portal.beat())
    crew.wait_for("backend")
    if makes_demo:
        making = crew.begin("demo", portal.command("demo", "people"), environment)
        crew.finish(making, "The demo workspace could not be made")
        crew.launch(portal.beat())  # not before: the demo mirrors its past itself
    crew.wait_for("worker", "web", "beat")
    say("", f"\nOpen http://localhost:{place.port}/   (ready in {time.monotonic() - began_at:.1f} s; Ctrl-C stops)")
    say("", _how_to_sign_in(portal, state, makes_demo))
    if backend_is_ours and place.tls_port:
        say("", how_to_connect_clients(place))
    return environment


def leads_here(name: str) -> bool:
    """Whether this machine finds a name under localhost: many resolvers do without being told, not all."""
    try:
        return bool(socket.getaddrinfo(name, None))
    except OSError:
        return False


def how_to_connect_clients(place: Installation, is_known: Callable[[str], bool] = leads_here) -> str:
    """What an unchanged CopyFactory client is told, so that it reaches the backend. is_known: whether a name is."""
    domain, certificate = f"localhost:{place.tls_port}", place.var / "tls" / f"backend-{place.tls_port}.crt"
    lines = [
        "",
        f"CopyFactory clients reach the backend by the domain {domain} (docs/clients.md):",
        f"  token   VAR={place.var} {sys.executable} manage.py backendtoken --tenant NAME",
        f'  Python  SSL_CERT_FILE={certificate}  CopyFactory(token, {{"domain": "{domain}"}})',
        f'  Node    NODE_EXTRA_CA_CERTS={certificate}  new CopyFactory(token, {{domain: "{domain}"}})',
    ]
    if unknown := [name for name in names_under("localhost") if not is_known(name)]:
        lines.append("  hosts   this machine does not know these names; add the next line to /etc/hosts:")
        lines.append(f"127.0.0.1 {' '.join(unknown)}")
    return "\n".join(lines)


def _environment(place: Installation) -> dict[str, str]:
    environment = {**os.environ, **{name: place.secret(name) for name in ("SECRET_KEY", "FIELD_KEYS")}}
    environment |= {"VAR": str(place.var), "PYTHONUNBUFFERED": "1"}
    environment.setdefault("STATIC_ROOT", str(place.var / "static"))
    if not os.environ.get("ALLOWED_HOSTS") and not os.environ.get("CSRF_TRUSTED_ORIGINS"):  # nobody else reaches it
        environment.setdefault("PORTAL_URL", f"http://localhost:{place.port}")
    return environment


def _start_servers(var: Path, crew: Crew, environment: dict[str, str], *, durable: bool = True) -> None:
    """Start what is unset and put the addresses into the environment."""
    for variable, kind in (("REDIS_URL", Valkey), ("DATABASE_URL", Postgres)):
        if os.environ.get(variable):
            continue
        server = kind(var, durable=durable)
        server.prepare()
        environment[variable] = server.url
        crew.launch(server.child())
    crew.wait_for("postgres", "valkey")


def _prepare(portal: Portal, crew: Crew) -> dict:
    """Migrate when needed; the command answers with what the next steps depend on."""
    preparing = crew.begin("prepare", portal.command("prepare"), portal.environment)
    output = crew.finish(preparing, "The database could not be prepared")
    return json.loads(output.splitlines()[-1])


def _how_to_sign_in(portal: Portal, state: dict, makes_demo: bool) -> str:
    """The demo's sign-ins where there is a demo; otherwise where to begin."""
    if makes_demo or state["has_demo"]:
        command = [*portal.command("demo"), "--describe"]
        return subprocess.run(command, env=portal.environment, capture_output=True, text=True).stdout.strip()
    if state["has_people"]:
        return "Sign in with your e-mail address and password."
    return "Nobody can sign in yet: the first page makes the owner."


def reset(place: Installation, *, answer: str | None = None) -> None:
    """Empty the data folder after asking. Raises CannotStart while the portal runs there or if it is not ours."""
    if not place.var.is_dir():
        say("", f"{place.var} does not exist: there is nothing to reset.")
        return
    if any(place.var.iterdir()) and not (place.var / "lock").exists():
        raise CannotStart(f"{place.var} does not look like a data folder of copyportal: nothing was removed.")
    with place.locked():
        if (answer if answer is not None else _ask(place.var)).strip().lower() != "yes":
            say("", "Nothing was removed.")
            return
        for entry in place.var.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    say("", f"{place.var} is empty.")


def _ask(var: Path) -> str:
    try:
        return input(f"Remove everything in {var}, the database included? Type yes: ")
    except EOFError:
        return ""


def run_with_servers(command: list[str], place: Installation) -> int:
    """Run a command beside throw-away servers (no fsync) where DATABASE_URL / REDIS_URL are unset; its exit code."""
    place.make_folders()
    crew = Crew(place.var / "logs")
    crew.listen()
    try:
        environment = _environment(place)
        _start_servers(place.var, crew, environment, durable=False)
        process = subprocess.Popen([*die_with_parent("TERM"), *command], env=environment)
        while process.poll() is None and not crew.stopping:
            time.sleep(0.05)
        if crew.stopping:
            with contextlib.suppress(subprocess.TimeoutExpired, Stopped):
                process.wait(5)  # Ctrl-C has reached it already
            process.kill()
        return process.wait()
    except Stopped:
        return 130
    finally:
        crew.stop()
