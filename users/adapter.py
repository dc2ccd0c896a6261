"""How people sign in: only with an account that a workspace owner made; there is no open registration."""

from allauth.account.adapter import DefaultAccountAdapter


class AccountAdapter(DefaultAccountAdapter):
    """Closes allauth's public registration."""

    def is_open_for_signup(self, request) -> bool:
        return False
