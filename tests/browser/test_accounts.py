"""From connecting a backend to the first copy of an account that its owner connected by a link, as a newcomer goes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from copying.backend import tokens
from copying.client import Client
from copying.contract import wire
from tests.browser.conftest import PATIENCE_MS, _database, spare_of
from tests.browser.stack import ROOT, Stack, drop_database, make_database
from tests.contract_only import ContractOnly

TENANT = "journey"
# what the workers of an installation do by themselves, here when a line asks for it
WORKER = """
import sys
from django.utils import timezone
from jobs import run as jobs, upkeep
from jobs.models import Job
from reporting.sync import run, states
from users.models import Connection
for line in sys.stdin:
    states.ensure_states()
    for connection in Connection.objects.all():
        states.request_sync(connection)
    run.run_due(budget_s=20)
    upkeep.ensure_standing()
    Job.objects.filter(kind="reconstruction").update(due_at=timezone.now())
    jobs.run_due(budget_s=5)
    print("done", flush=True)
"""


@dataclass
class Newcomer:
    """An installation without anybody, and a backend that lets only CopyFactory's own calls through at first."""

    stack: Stack
    door: ContractOnly
    worker: subprocess.Popen

    def sync(self) -> None:
        """What happens within a minute by itself."""
        assert self.worker.stdin
        assert self.worker.stdout
        self.worker.stdin.write("go\n")
        self.worker.stdin.flush()
        assert self.worker.stdout.readline() == "done\n", "the worker has ended"

    def client(self) -> Client:
        return Client(tokens.issue(TENANT), base_url=f"http://127.0.0.1:{self.stack.backend_port}")


@pytest.fixture
def newcomer(empty_stack: Stack, tmp_path) -> Iterator[Newcomer]:
    stack = Stack(tmp_path, _database("journey"), empty_stack.static_root)
    stack.changes |= {"BACKEND_URL": "", "BACKEND_TOKEN": "", "PRIVATE_BACKENDS": "127.0.0.0/8"}
    make_database(stack.name, template=spare_of(empty_stack))
    worker = None
    try:
        stack.start_backend()
        stack.start_web()
        command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", WORKER]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        worker = subprocess.Popen(command, cwd=ROOT, env=stack.environment, **pipes)
        with ContractOnly(f"http://127.0.0.1:{stack.backend_port}") as door:
            yield Newcomer(stack, door, worker)
    finally:
        if worker is not None:
            worker.kill()
            worker.communicate()
        stack.stop()
        drop_database(stack.name)


def test_an_account_goes_from_a_link_to_its_first_copy(browser: Browser, newcomer: Newcomer):
    office = browser.new_context(base_url=newcomer.stack.address, viewport={"width": 1440, "height": 900})
    page = office.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/")
    page.get_by_label("Name of your firm").fill("Harbour Capital")
    page.get_by_label("E-mail address").fill("olivia@example.com")
    page.get_by_label("Password", exact=False).first.fill("a long harbour 41 phrase")
    page.get_by_role("button", name="Create the workspace").click()
    expect(page.get_by_text("Harbour Capital is ready")).to_be_visible()

    # connect, and see what is missing and why
    page.goto("/settings/connections/new/")
    page.get_by_label("Name", exact=True).fill("Copying cloud")
    page.get_by_label("Address").fill(newcomer.door.url)
    page.get_by_label("Token").fill(tokens.issue(TENANT))
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("Copying cloud is connected.")).to_be_visible()
    connection = page.url
    newcomer.sync()
    page.goto(connection)
    accounts = page.locator("#rights tbody tr").filter(has_text="Trading accounts")
    expect(accounts).to_contain_text("Not offered")
    expect(accounts).to_contain_text("the backend has no such call")
    expect(accounts).to_contain_text("It needs access to the accounts' API")
    page.goto("/trading-accounts/")
    expect(page.locator("#content")).to_contain_text("accounts' API")
    page.goto("/trading-accounts/new/")
    expect(page.get_by_text("No connection offers accounts")).to_be_visible()

    # the right comes: an account is added by a link that its owner opens
    newcomer.door.passes_accounts = True
    newcomer.sync()
    page.goto("/trading-accounts/")
    page.get_by_role("link", name="Add an account").first.click()
    page.get_by_role("navigation", name="Ways to add an account").get_by_role(
        "link", name="Link for the client"
    ).click()
    page.get_by_label("Name", exact=True).fill("Carla Client")
    page.get_by_label("Server").fill("PaperBroker-Demo")
    page.get_by_role("button", name="Make the link").click()
    link = page.get_by_label("Link", exact=True).input_value()
    page.get_by_role("link", name="To the account").click()
    expect(page.get_by_text("It waits for its owner to enter login and password")).to_be_visible()
    account_page = page.url
    account = page.locator(".about .code").inner_text()

    phone = browser.new_context(viewport={"width": 360, "height": 780})
    client = phone.new_page()
    client.set_default_timeout(PATIENCE_MS)
    client.goto(link)
    client.get_by_label("Login (account number)").fill("4711001")
    client.get_by_label("Password").fill("only-the-broker-knows")
    client.get_by_role("button", name="Connect the account").click()
    expect(client.get_by_role("heading", name="The account is connected")).to_be_visible()
    client.goto(link)
    expect(client.get_by_role("heading", name="The link is not valid")).to_be_visible()
    phone.close()

    # its progress
    state = page.locator("#account .facts").first
    for _ in range(20):
        newcomer.sync()
        page.goto(account_page)
        if "Connected" in state.inner_text():
            break
    expect(state).to_contain_text("Connected")
    expect(state).to_contain_text("4711001")
    expect(page.locator("#account")).to_contain_text("USD")

    # it becomes a subscriber
    with newcomer.client() as backend:
        strategy = backend.unused_strategy_id()
        document = {"name": "Harbour Trend", "description": "d", "accountId": "harbour-provider"}
        backend.put_strategy(strategy, document | {"tradeSizeScaling": {"mode": "none"}})
    newcomer.sync()
    page.goto("/subscribers/new/")
    page.get_by_label("Trading account").fill(account)
    expect(page.get_by_text("Carla Client").first).to_be_visible()
    page.get_by_label("Subscriptions: Strategy").select_option(label="Harbour Trend")
    page.get_by_label("Name", exact=True).fill("Carla Client")
    page.locator(".form-bar").get_by_role("button", name="Review the change").click()
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Carla Client is created.")).to_be_visible()

    # the first copy
    signal = {"symbol": "EURUSD", "type": "POSITION_TYPE_BUY", "volume": 0.05}
    with newcomer.client() as backend:
        backend.put_external_signal(strategy, "first", signal | {"time": wire.format_time(timezone.now())})
    rows = page.locator("table.positions tbody tr")
    for _ in range(20):
        newcomer.sync()
        page.goto("/positions/all/")
        if rows.count():
            break
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("EURUSD")
    expect(rows).to_contain_text("Carla Client")
    expect(rows).to_contain_text("0.05")
    copied = page.locator("#decisions tbody tr")
    for _ in range(20):
        page.goto("/decisions/")
        if copied.count():
            break
        newcomer.sync()
    expect(copied).to_have_count(1)
    expect(copied).to_contain_text(re.compile("Copied", re.IGNORECASE))
    expect(copied).to_contain_text("reconstructed")
    office.close()
