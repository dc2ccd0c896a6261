"""Django application: history, analytics, commissions and downloads."""

from django.apps import AppConfig


class ReportingConfig(AppConfig):
    name = "reporting"

    def ready(self) -> None:
        from reporting.commission import book_jobs, runs  # noqa: F401  # they register their kinds of jobs
        from strategies.files import register_file

        def with_results(request, table):
            from reporting.views.strategies import results_csv  # late: views load numpy, which tasks do without

            return results_csv(request, table)

        register_file(with_results)
