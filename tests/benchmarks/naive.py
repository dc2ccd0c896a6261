"""The usual way, to compare with: model objects, Django's template language, OFFSET and COUNT, csv.writer."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "copyportal.settings")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from django.conf import settings
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
settings.ROOT_URLCONF = __name__

from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.template import Context, Engine
from django.urls import path

from reporting.models import Transaction
from reporting.views.history import TRANSACTIONS
from subscribers.models import Subscriber

TABLE = Engine().from_string("""<!doctype html><title>List</title><p>{{ page.paginator.count }} rows</p><table>
{% for row in page %}<tr>{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</table>
{% if page.has_next %}<a href="?page={{ page.next_page_number }}">Next</a>{% endif %}""")
NAMES = [column.key for column in TRANSACTIONS.columns if not column.source]


def _page(request, rows, names) -> HttpResponse:
    page = Paginator(rows, 50).get_page(request.GET.get("page"))
    for row in page.object_list:
        row.cells = [getattr(row, name) for name in names]
        if isinstance(row, Transaction):
            row.cells += [row.subscriber.name, row.subscriber.currency, row.strategy.name]
    return HttpResponse(TABLE.render(Context({"page": page})))


def transactions(request) -> HttpResponse:
    rows = Transaction.objects.filter(workspace=request.workspace).order_by("-time", "-id")
    return _page(request, rows.select_related("subscriber", "strategy"), NAMES)


def subscribers(request) -> HttpResponse:
    rows = Subscriber.objects.filter(workspace=request.workspace).order_by("name", "id")
    return _page(request, rows, ["name", "backend_id", "currency", "balance", "equity", "subscription_count"])


class Echo:
    def write(self, line):
        return line


def download(request) -> StreamingHttpResponse:
    rows = Transaction.objects.filter(workspace=request.workspace).order_by("-time", "-id")
    writer = csv.writer(Echo())
    lines = (
        writer.writerow([getattr(row, name) for name in NAMES] + [row.subscriber.name, row.strategy.name])
        for row in rows.select_related("subscriber", "strategy").iterator()
    )
    return StreamingHttpResponse(lines, content_type="text/csv")


urlpatterns = [path("transactions/", transactions), path("subscribers/", subscribers), path("naive.csv", download)]
