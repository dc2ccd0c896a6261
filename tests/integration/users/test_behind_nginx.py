"""Signing in behind a real nginx with the configuration of deploy/: who is slowed down, what the portal believes."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from tests import builders
from users import throttle

ROOT = Path(__file__).resolve().parents[3]
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NAME = "portal.example.com"
ATTACKER, OWNER = "127.0.0.66", "127.0.0.77"

pytestmark = [
    pytest.mark.skipif(not NGINX, reason="no nginx on this machine (Debian: apt install nginx-light)"),
    pytest.mark.django_db(transaction=True),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(upstream: str, port: int, folder: Path, *, appends: bool) -> str:
    """deploy/nginx.conf as it is, but on a port of loopback, without certificate and with its files in `folder`."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    text = text.replace("server 127.0.0.1:8000;", f"server {upstream};")
    redirect, portal = re.findall(r"^server \{.*?^\}", text, re.MULTILINE | re.DOTALL)
    text = text.replace(redirect, "")
    kept = re.sub(r"^ *(listen|http2|ssl_\w+) .*\n", "", portal, flags=re.MULTILINE)
    kept = kept.replace("server {", f"server {{\n    listen 127.0.0.1:{port};", 1).replace("$scheme", "https")
    if appends:
        kept = kept.replace("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for")
    paths = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    log = f"access_log off; error_log {folder}/error.log;"
    main = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
    return f"{main}http {{ {paths} {log}\n{text.replace(portal, kept)}\n}}\n"


@pytest.fixture(params=[False, True], ids=["replaces", "appends"])
def proxy(request, live_server, tmp_path, settings):
    """The port of an nginx before the live portal, which knows that there is one proxy."""
    settings.TRUSTED_PROXIES = 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True
    settings.ALLOWED_HOSTS = [NAME]
    settings.CSRF_TRUSTED_ORIGINS = [f"https://{NAME}"]
    port = free_port()
    upstream = live_server.url.removeprefix("http://").replace("localhost", "127.0.0.1")
    file = tmp_path / "nginx.conf"
    file.write_text(configuration(upstream, port, tmp_path, appends=request.param))
    process = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(file)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    assert process.poll() is None, process.stderr.read().decode()
    yield port
    process.terminate()
    process.wait(10)


def ask(port: int, source: str, method: str, path: str, form: dict | None = None, **headers):
    """One request from an address of this machine; status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    try:
        sent = {"Host": NAME, **{key.replace("_", "-"): value for key, value in headers.items()}}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, urlencode(form) if form is not None else None, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def sign_in(port: int, source: str, email: str, password: str, **headers):
    """As a browser does it: cookie, token, Origin."""
    _, got, page = ask(port, source, "GET", "/accounts/login/", **headers)
    cookie = got["Set-Cookie"].split(";")[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"login": email, "password": password, "csrfmiddlewaretoken": token}
    headers |= {"Cookie": cookie, "Origin": f"https://{NAME}", "Referer": f"https://{NAME}/accounts/login/"}
    return ask(port, source, "POST", "/accounts/login/", form, **headers)


def test_the_attacker_is_slowed_down_and_nobody_else(proxy, alice, bob, time_machine):
    time_machine.move_to(timezone.now(), tick=False)
    for number in range(throttle.FREE_FAILURES + 3):
        spoofed = {"X_Forwarded_For": f"192.0.2.{number}"}
        status, _, page = sign_in(proxy, ATTACKER, alice.email, "a wrong password", **spoofed)
        assert status == 200
    assert "Too many wrong passwords" in page, "another X-Forwarded-For is not another source"
    assert sign_in(proxy, ATTACKER, alice.email, builders.PASSWORD, X_Forwarded_For=OWNER)[0] == 200
    status, headers, _ = sign_in(proxy, OWNER, alice.email, builders.PASSWORD)
    assert status == 302
    cookies = [value for key, value in headers.items() if key == "Set-Cookie"]
    assert all("Secure" in cookie for cookie in cookies)
    assert sign_in(proxy, OWNER, bob.email, builders.PASSWORD)[0] == 302


def test_pages_and_links_are_of_the_name_people_type(proxy, alice):
    status, headers, _ = ask(proxy, OWNER, "GET", "/settings/", X_Forwarded_Proto="http")
    assert status == 302
    assert headers["Location"] == "/accounts/login/?next=/settings/", "no redirect to https: nginx says it is"


def test_a_form_of_another_site_is_refused(proxy, alice):
    _, got, page = ask(proxy, OWNER, "GET", "/accounts/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    form = {"login": alice.email, "password": builders.PASSWORD, "csrfmiddlewaretoken": token}
    headers = {"Cookie": got["Set-Cookie"].split(";")[0], "Origin": "https://evil.example.com"}
    assert ask(proxy, OWNER, "POST", "/accounts/login/", form, **headers)[0] == 403
