"""Django application: history, analytics, commissions and downloads."""

from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "reporting"

    def ready(self) -> None:
        from accounts.offers import register_refusals
        from editing.mirrored import register_look_back
        from reporting import closing_positions, removal  # noqa: F401  # they register their kinds of jobs
        from reporting.account_results import result_month, result_today

        # they register their kinds of jobs and mails
        from reporting.commission import book_jobs, dispute_steps, mailing, runs, void_runs  # noqa: F401
        from reporting.notice_sources import voided
        from reporting.reconstruction import runs as reconstruction_runs  # noqa: F401
        from reporting.rights import refusals
        from reporting.states import connection_states
        from strategies.files import register_file
        from subscribers.results import register_results
        from users.notice_telling import register_recall
        from users.syncing import register_states

        def with_results(request, table):
            from reporting.views.strategies import results_csv  # late: views load numpy, which tasks do without

            return results_csv(request, table)

        def over_the_mirror(*arguments, **named):
            from reporting.reconstruction.looking_back import look_back  # late: it loads the compiled engine

            return look_back(*arguments, **named)

        register_file(with_results)
        register_look_back(over_the_mirror)
        register_results(today=result_today, month=result_month)
        register_states(connection_states)
        register_refusals(refusals)
        register_recall("issued", voided)
