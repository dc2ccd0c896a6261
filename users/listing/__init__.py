"""Lists of any table: filters, search and sort from the URL, keyset pages, a live count, and CSV of exactly that.

An app declares a `Listing` of columns and filters; its view binds it to a request and a queryset that is already scoped
(`visible_to`). Nothing here knows a trading word or decides who may see a row.

    TRANSACTIONS = Listing(name="transactions", columns=(...), filters=(...), sort="-time")

    def transactions(request):
        table = TRANSACTIONS.bind(request, Transaction.objects.visible_to(request.membership))
        if table.wants_csv:
            return table.csv()
        return render(request, "...", {"table": table})

A wrong parameter raises `BadParameter`, which the portal answers with a 400 page that carries its sentence.
"""

from users.listing.columns import Column
from users.listing.filters import Between, Choice, DayRange, NameSearch, Option, Search, Text, with_ids
from users.listing.listing import Listing, Table
from users.listing.parameters import BadParameter

__all__ = [
    "BadParameter",
    "Between",
    "Choice",
    "Column",
    "DayRange",
    "Listing",
    "NameSearch",
    "Option",
    "Search",
    "Table",
    "Text",
    "with_ids",
]
