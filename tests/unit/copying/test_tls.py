"""The certificate for the names that the vendor's clients build."""

import ssl
import stat

from cryptography import x509

from copying.backend import tls


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
