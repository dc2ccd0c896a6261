"""A passkey in software: answers what a browser would ask of a device, also wrongly where a test wants that."""

from __future__ import annotations

import hashlib
import json
import os

from allauth.mfa.models import Authenticator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

ORIGIN = "https://testserver"
PRESENT, VERIFIED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV


class SoftPasskey:
    """One credential of one device. origin: the page that asks, as the browser says; flags: what the person did."""

    def __init__(self, *, origin: str = ORIGIN, flags: int = PRESENT | VERIFIED) -> None:
        self.origin, self.flags = origin, flags
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)
        self.user_handle = ""

    def create(self, options: dict) -> dict:
        """The answer to what a page asks when a passkey is made."""
        asked = options["publicKey"]
        self.user_handle = asked["user"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())
        data = AttestedCredentialData.create(Aaguid(bytes(16)), self.id, public)
        held = self._data(asked["rp"]["id"], self.flags | AuthenticatorData.FLAG.AT, data)
        parts = {
            "clientDataJSON": self._client_data("webauthn.create", asked["challenge"]),
            "attestationObject": bytes(AttestationObject.create("none", held, {})),
        }
        return self._answer(parts) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def use(self, options: dict) -> dict:
        """The answer to what a page asks when somebody signs in or confirms."""
        asked = options["publicKey"]
        client, data = (
            self._client_data("webauthn.get", asked["challenge"]),
            bytes(self._data(asked["rpId"], self.flags)),
        )
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        answer = self._answer({"clientDataJSON": client, "authenticatorData": data, "signature": signature})
        answer["response"]["userHandle"] = self.user_handle
        return answer

    def _data(self, rp_id: str, flags: int, credential: AttestedCredentialData | None = None) -> AuthenticatorData:
        digest = hashlib.sha256(rp_id.encode()).digest()
        return AuthenticatorData.create(digest, flags, 0, bytes(credential) if credential else b"")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, parts: dict[str, bytes]) -> dict:
        encoded = websafe_encode(self.id)
        response = {name: websafe_encode(part) for name, part in parts.items()}
        return {"id": encoded, "rawId": encoded, "type": "public-key", "response": response}


def stored_passkey(user, *, name: str = "Secret key") -> Authenticator:
    """As if the person had made it."""
    options = {"publicKey": {"rp": {"id": "testserver"}, "user": {"id": ""}, "challenge": "AAAA"}}
    credential = SoftPasskey().create(options)
    return Authenticator.objects.create(user=user, type="webauthn", data={"name": name, "credential": credential})
