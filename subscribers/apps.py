"""Django application: who copies what, on which terms."""

from django.apps import AppConfig


class SubscribersConfig(AppConfig):
    name = "subscribers"

    def ready(self) -> None:
        from accounts.uses import register_uses
        from strategies.reach import register_accounts
        from subscribers import targets
        from subscribers.access import accounts_seen
        from subscribers.accounts import subscribers_of
        from subscribers.models import accounts_copying
        from users.notice_telling import register_sight

        targets.register()
        register_uses("subscribers", subscribers_of)
        register_accounts(accounts_copying)
        register_sight(accounts_seen)
