"""Browser tests: Playwright's synchronous interface runs an event loop, beside which Django refuses its database."""

import os

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
