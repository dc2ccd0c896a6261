"""A certificate for the host names that the vendor's clients build (contract, 1.4), so that they reach this backend.

Self-signed and made once per data folder: clients trust it through SSL_CERT_FILE. Never meant for a public address.
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=397)  # the longest that common TLS stacks accept for a leaf
RENEW_BEFORE = timedelta(days=30)
NAMES = (
    "localhost",
    # by name, as the common TLS stacks take no wildcard for a domain of one label
    "mt-provisioning-api-v1.localhost",
    "profile-api-v1.localhost",
    "copyfactory-api-v1.local.localhost",
    "*.localhost",
    "*.local.localhost",
)


def self_signed(var_dir: Path | str, port: int) -> tuple[Path, Path]:
    """Certificate and key files under `var_dir`, made when they are missing or about to expire.

    port: part of the file names only; a certificate knows names, not ports.
    """
    folder = Path(var_dir) / "tls"
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / f"backend-{port}.crt", folder / f"backend-{port}.key"
    if not _usable(certificate_file, key_file):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(key_file, _key_pem(key), mode=0o600)
        _write(certificate_file, _certificate(key).public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate_file, key_file


def _usable(certificate_file: Path, key_file: Path) -> bool:
    if not (certificate_file.exists() and key_file.exists()):
        return False
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError:
        return False
    own = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_complete = set(NAMES) <= set(own.get_values_for_type(x509.DNSName))  # an earlier version knew fewer
    return is_complete and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "copyportal backend")])
    names: list[x509.GeneralName] = [x509.DNSName(dns) for dns in NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    file.chmod(mode)
