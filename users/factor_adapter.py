"""django-allauth's mfa part as this portal uses it: secrets encrypted at rest, and what is said in our words."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser

from copying import secrets
from users.factors import is_last, is_required_of, passkeys_of
from users.models import User


class FactorAdapter(DefaultMFAAdapter):
    """Encrypts what codes are made of; keeps the last factor where a workspace asks for one."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This code is not right, or was used already. Wait for the app's next one.",
        "cannot_delete_authenticator": "A workspace of yours asks for a second factor: it stays.",
    }

    def encrypt(self, text: str) -> str:
        return secrets.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.decrypt(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {**super().get_public_key_credential_rp_entity(), "name": "copyportal"}

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        assert isinstance(user, User)
        return "Passkey" if not passkeys_of(user) else f"Passkey {len(passkeys_of(user)) + 1}"

    def get_totp_issuer(self) -> str:
        return "copyportal"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not (is_last(authenticator) and is_required_of(authenticator.user))
