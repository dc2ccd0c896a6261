"""Says whether the audit log is whole: no entry changed, none missing, none added past the seal."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from users.audit import AuditHead, audit_faults, audit_head, holds
from users.parsing import whole_number


class Command(BaseCommand):
    help = "Check the chain of the audit log, and print its end (number:digest) to be noted elsewhere."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--noted", default="", help="An end that was printed earlier: is it still part of the log?")

    def handle(self, *args, noted: str = "", **options) -> None:
        faults = [str(fault) for fault in audit_faults()]
        if noted and not holds(self._parsed(noted)):
            faults.append(f"{noted}: this end was noted earlier and is no longer part of the log")
        for fault in faults:
            self.stdout.write(fault)
        if faults:
            raise CommandError("The audit log was tampered with, or damaged.")
        self.stdout.write(f"The audit log is whole. Its end: {audit_head() or 'nothing was noted yet'}")

    def _parsed(self, noted: str) -> AuditHead:
        number, _, digest = noted.partition(":")
        position = whole_number(number)
        if not position or not digest:
            raise CommandError("--noted takes what this command printed: a number, a colon and a digest.")
        return AuditHead(position, digest)
