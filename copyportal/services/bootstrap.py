"""Makes `.venv` and installs the hash-locked requirements, or does nothing when they are already there.

Executed by path with whatever `python3` the machine has (`python3 copyportal/services/bootstrap.py [dev]`), before
anything is installed: standard library only, and readable by old interpreters so that they can say what is missing.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
NEEDED = (3, 11)


def main(arguments):
    """Bring `.venv` up to the lock named by the arguments; return the exit code."""
    names = ["requirements-dev.lock", "requirements.lock"] if "dev" in arguments else ["requirements.lock"]
    with _one_at_a_time():
        if _is_current(names[0]):
            return 0
        if sys.version_info < NEEDED and not os.path.exists(PYTHON):
            return _again_with_newer_python(arguments)
        if not _venv_works() and not _make_venv():
            return 1
        print("Installing %s ..." % names[0], flush=True)
        if not _install(os.path.join(ROOT, names[0])):
            print("The requirements could not be installed: see the lines above.", file=sys.stderr)
            return 1
        for name in names:  # the development lock contains the other one
            with open(_stamp(name), "w") as stamp:
                stamp.write(_digest(name))
    return 0


@contextlib.contextmanager
def _one_at_a_time():
    """Hold the checkout while installing: `make up` and `make test` may be typed at the same time."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _digest(name):
    with open(os.path.join(ROOT, name), "rb") as lock:
        return hashlib.sha256(lock.read()).hexdigest()


def _stamp(name):
    return os.path.join(VENV, "." + name + ".installed")


def _is_current(name):
    try:
        with open(_stamp(name)) as stamp:
            return stamp.read() == _digest(name) and os.path.exists(PYTHON)
    except OSError:
        return False


def _venv_works():
    return os.path.exists(PYTHON) and not subprocess.call(
        [PYTHON, "-c", "import pip"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _make_venv():
    print("Making .venv ...", flush=True)
    result = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        print(
            "Python's own `venv` does not work here (Debian and Ubuntu: apt install python3-venv): %s"
            % result.stdout.decode(errors="replace").strip().splitlines()[-1:],
            file=sys.stderr,
        )
    return not result.returncode


def _install(lock):
    """Install with uv, which is seven times faster, or with pip where uv has no wheel or does not start."""
    uv = os.path.join(VENV, "bin", "uv")
    silence = subprocess.DEVNULL
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--require-hashes"]
    if not os.path.exists(uv):
        subprocess.call([*pip, "-r", os.path.join(ROOT, "requirements-uv.lock")], stdout=silence, stderr=silence)
    environment = dict(os.environ, VIRTUAL_ENV=VENV)
    fast = [uv, "pip", "install", "-q", "--require-hashes", "--compile-bytecode", "-r", lock]
    for words in ([], ["--system-certs"]) if os.path.exists(uv) else ():  # its own authorities, then the machine's
        if not subprocess.call(fast + words, env=environment, stdout=silence, stderr=silence):
            return True
    print("Without uv this takes a minute ...", flush=True)
    return not subprocess.call([*pip, "-r", lock])


def _again_with_newer_python(arguments):
    for minor in range(14, NEEDED[1] - 1, -1):
        other = shutil.which("python3.%d" % minor)
        if other and not subprocess.call([other, "-c", ""], stderr=subprocess.DEVNULL):
            return subprocess.call([other, os.path.abspath(__file__), *arguments])
    print("copyportal needs Python %d.%d or newer; this is %d.%d." % (NEEDED + sys.version_info[:2]), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
