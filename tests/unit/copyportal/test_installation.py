"""The folder of run-time data: choices, secrets, lock."""

import stat
import sys

import pytest
from cryptography.fernet import Fernet

from copyportal.services import CannotStart
from copyportal.services.installation import Installation
from copyportal.services.portal import Portal
from copyportal.services.supervisor import how_to_connect_clients, reset


def test_choices_come_from_the_environment(monkeypatch, tmp_path):
    for name, value in {"PORT": "9000", "BACKEND_PORT": "9001", "VAR": str(tmp_path), "DEMO": "0"}.items():
        monkeypatch.setenv(name, value)
    place = Installation.from_environment()
    assert (place.port, place.backend_port, place.var, place.demo) == (9000, 9001, tmp_path, False)


@pytest.mark.parametrize(("tls", "port"), [("", 0), ("0", 0), ("no", 0), ("1", 8443), ("yes", 8443)])
def test_https_is_served_where_it_is_asked_for(monkeypatch, tmp_path, tls, port):
    monkeypatch.setenv("TLS", tls)
    monkeypatch.setenv("VAR", str(tmp_path))
    monkeypatch.delenv("TLS_PORT", raising=False)
    place = Installation.from_environment()
    assert place.tls_port == port
    assert ("--tls-port" in Portal(place, {}).backend().command) is bool(port)
    monkeypatch.setenv("TLS_PORT", "9443")
    assert Installation.from_environment().tls_port == (9443 if port else 0)


@pytest.mark.parametrize(("tls", "is_refused"), [("1", True), ("0", False)])
def test_two_servers_need_two_ports(monkeypatch, tls, is_refused):
    for name, value in {"PORT": "9443", "TLS_PORT": "9443", "TLS": tls}.items():
        monkeypatch.setenv(name, value)
    if is_refused:
        with pytest.raises(CannotStart, match="PORT and TLS_PORT are both 9443"):
            Installation.from_environment()
    else:
        assert Installation.from_environment().port == 9443


def test_a_client_is_told_domain_certificate_and_token(tmp_path):
    text = how_to_connect_clients(Installation(var=tmp_path, tls_port=9443), lambda name: True)
    assert 'CopyFactory(token, {"domain": "localhost:9443"})' in text
    assert f"SSL_CERT_FILE={tmp_path}/tls/backend-9443.crt" in text
    assert f"NODE_EXTRA_CA_CERTS={tmp_path}/tls/backend-9443.crt" in text
    assert f"VAR={tmp_path} {sys.executable} manage.py backendtoken --tenant NAME" in text
    assert "/etc/hosts" not in text


def test_names_that_the_machine_does_not_know_are_told_as_a_line_of_hosts(tmp_path):
    known = "mt-provisioning-api-v1.localhost"
    text = how_to_connect_clients(Installation(var=tmp_path, tls_port=9443), lambda name: name == known)
    *_, line = text.splitlines()
    assert line.startswith("127.0.0.1 mt-client-api-v1.local.localhost ")
    assert "copyfactory-api-v1.local.localhost" in line
    assert known not in line


@pytest.mark.parametrize("port", ["0", "65536", "eighty", "-1", "²"])
def test_a_port_that_is_no_port_is_named(monkeypatch, port):
    monkeypatch.setenv("PORT", port)
    with pytest.raises(CannotStart, match=f"PORT={port} is not a port"):
        Installation.from_environment()


def test_secrets_are_made_once_and_closed_to_others(monkeypatch, tmp_path):
    monkeypatch.delenv("FIELD_KEYS", raising=False)
    place = Installation(var=tmp_path)
    first = place.secret("FIELD_KEYS")
    Fernet(first)
    assert place.secret("FIELD_KEYS") == first
    assert stat.S_IMODE((tmp_path / "secrets/FIELD_KEYS").stat().st_mode) == 0o600
    monkeypatch.setenv("FIELD_KEYS", "given")
    assert place.secret("FIELD_KEYS") == "given"


def test_a_second_supervisor_is_told_who_is_there(tmp_path):
    with (
        Installation(var=tmp_path, port=8123).locked(),
        pytest.raises(CannotStart, match=r"already runs here: process \d+, http://localhost:8123/"),
        Installation(var=tmp_path).locked(),
    ):
        pass


def test_reset_asks_and_empties(tmp_path, capsys):
    place = Installation(var=tmp_path)
    with place.locked():
        (tmp_path / "logs").mkdir()
    reset(place, answer="no")
    assert (tmp_path / "logs").exists()
    reset(place, answer="yes")
    assert list(tmp_path.iterdir()) == []
    assert "is empty" in capsys.readouterr().out


def test_reset_leaves_a_foreign_folder_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(CannotStart, match="does not look like a data folder"):
        reset(Installation(var=tmp_path), answer="yes")
    assert (tmp_path / "letters").exists()


def test_reset_refuses_while_the_portal_runs(tmp_path):
    place = Installation(var=tmp_path)
    with place.locked(), pytest.raises(CannotStart, match="already runs"):
        reset(place, answer="yes")


def test_a_folder_of_ours_is_closed_to_others(tmp_path):
    var = tmp_path / "var"
    var.mkdir(mode=0o755)
    place = Installation(var=var)
    place.make_folders()
    assert stat.S_IMODE(var.stat().st_mode) == 0o700
    (var / "lock").touch()
    var.chmod(0o755)
    place.make_folders()
    assert stat.S_IMODE(var.stat().st_mode) == 0o700


def test_a_folder_of_others_keeps_its_mode(tmp_path):
    (tmp_path / "something").touch()
    tmp_path.chmod(0o755)
    Installation(var=tmp_path).make_folders()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
