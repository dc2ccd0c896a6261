"""The certificate for the names that the vendor's clients build."""

import contextlib
import ssl
import stat

import pytest
from cryptography import x509

from copying.backend import tls
from copying.contract.hosts import names_under


def test_the_certificate_covers_the_names_and_its_key_is_private(tmp_path):
    certificate_file, key_file = tls.self_signed(tmp_path, 8001)
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"mt-provisioning-api-v1.localhost", "copyfactory-api-v1.local.localhost"} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)


def test_it_is_made_once_and_again_when_it_is_damaged(tmp_path):
    first = tls.self_signed(tmp_path, 8001)[0].read_bytes()
    assert tls.self_signed(tmp_path, 8001)[0].read_bytes() == first
    (tmp_path / "tls" / "backend-8001.crt").write_text("garbage")
    assert tls.self_signed(tmp_path, 8001)[0].read_bytes() != first


def test_it_is_made_again_when_it_lacks_a_name_that_clients_build(tmp_path, monkeypatch):
    known = tuple(name for name in tls.NAMES if not name.startswith("profile-api"))
    with monkeypatch.context() as before:
        before.setattr(tls, "NAMES", known)
        first = tls.self_signed(tmp_path, 8001)[0].read_bytes()
    assert tls.self_signed(tmp_path, 8001)[0].read_bytes() != first


@pytest.mark.parametrize("name", names_under("localhost"))
def test_a_client_that_checks_it_takes_it_for_every_name_that_it_builds(tmp_path, name):
    certificate_file, key_file = tls.self_signed(tmp_path, 8001)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(certificate_file, key_file)
    of_client = ssl.create_default_context(cafile=str(certificate_file))
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = of_client.wrap_bio(back, there, server_hostname=name)
    server = of_server.wrap_bio(there, back, server_side=True)
    for side in (client, server, client):  # hello, answer with the certificate, check
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert client.getpeercert()
