"""A mail server on loopback for tests: it accepts, refuses at any command, keeps silent, or hangs up.

with MailServer(rcpt="550 5.1.1 no such user") as server:
    ...
assert server.texts == []
"""

from __future__ import annotations

import socket
import socketserver
import threading

SILENT, HANG_UP = "silent", "hang up"


class Dialog(socketserver.StreamRequestHandler):
    """One connection."""

    timeout = 10

    def handle(self) -> None:
        server: MailServer = self.server.owner  # type: ignore[attr-defined]
        server.connections += 1
        if not self.answer(server.answers.get("connect", "220 ready")):
            return
        while line := self.rfile.readline():
            verb = line.split(b" ", 1)[0].strip().lower().decode()
            if verb == "data":
                if not self.take_text(server):
                    return
            elif verb == "quit":
                self.answer("221 bye")
                return
            elif not self.answer(server.answers.get(verb, "250 fine")):
                return

    def take_text(self, server: MailServer) -> bool:
        self.answer("354 go on")
        text = b""
        while not text.endswith(b"\r\n.\r\n"):
            text += self.rfile.readline()
        answer = server.answers.get("data", "250 taken")
        with server.lock:
            if not answer.startswith(("4", "5")):
                server.texts.append(text)
        return self.answer(answer)

    def answer(self, text: str) -> bool:
        """Say it; False: the connection is to end."""
        if text == SILENT:
            self.server.owner.released.wait(10)  # type: ignore[attr-defined]
            return False
        if text == HANG_UP:
            return False
        self.wfile.write(text.encode() + b"\r\n")
        return True


class MailServer:
    """Listens while the `with` lasts. answers: by command (connect, ehlo, mail, rcpt, data) what is said instead."""

    def __init__(self, **answers: str) -> None:
        self.answers, self.texts, self.connections = answers, [], 0
        self.lock, self.released = threading.Lock(), threading.Event()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dialog)
        self.server.daemon_threads = True
        self.server.owner = self  # type: ignore[attr-defined]
        self.port = self.server.server_address[1]

    def __enter__(self) -> MailServer:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def unused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
