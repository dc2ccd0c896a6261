"""Runs a command that ends when whoever started it ends, for machines without util-linux's `setpriv`.

Executed by path with a bare interpreter (`python -I -S leash.py SIGNAL COMMAND...`): standard library only. Linux has
the kernel do it (PR_SET_PDEATHSIG survives exec); elsewhere this process stays, watches its parent and passes signals
on.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def main(signal_name: str, *command: str) -> int:
    """Replace this process by `command`, or watch over it where the kernel cannot."""
    number = getattr(signal, "SIG" + signal_name)
    if not sys.platform.startswith("linux"):
        return _watch(number, command)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number)):
        raise OSError(ctypes.get_errno(), "prctl failed")
    os.execvp(command[0], command)


def _watch(number: int, command: "tuple[str, ...]") -> int:
    parent = os.getppid()
    child = subprocess.Popen(command)
    for forwarded in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(forwarded, lambda received, _frame: child.send_signal(received))
    while child.poll() is None:
        if os.getppid() != parent:
            child.send_signal(number)
            child.wait(20)
        time.sleep(0.2)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
