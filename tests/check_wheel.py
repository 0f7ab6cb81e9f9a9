"""Does what is built and installed serve? Run it with the `build` package installed: python tests/check_wheel.py

Builds the sdist, the wheel, and the wheel from the sdist, and looks into all three. Installs the wheel, the sdist and,
editable, the tree, each into an environment of its own. From another directory, twistd must then list sockserve, serve
a client that shuts down its sending side, and end on SIGTERM.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Seconds that nothing here should need.
PATIENCE = 60

PLUGIN = "twisted/plugins/sockserve_plugin.py"
FORBIDDEN = ("twisted/__init__.py", "twisted/plugins/__init__.py", "twisted/plugins/dropin.cache")
REQUIRED = (PLUGIN, "sockserve/__init__.py", "sockserve/py.typed", "sockserve/framing/__init__.py")
NOT_SOURCE = (".git", ".venv", ".nox", ".*_cache", ".hypothesis", "_trial_temp*", "__pycache__", "_build")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))} ended with status {done.returncode}")
    return done.stdout


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build the sdist or the wheel of a tree into the empty directory `out`; the file that was made."""
    run(sys.executable, "-m", "build", f"--{kind}", "--outdir", out, tree, cwd=out.parent)
    [made] = out.iterdir()
    print(f"{kind}: {made.name}", flush=True)
    return made


def check_names(kind: str, names: set[str]) -> None:
    missing = sorted(set(REQUIRED) - names)
    wrong = sorted(set(FORBIDDEN) & names)
    if kind == "wheel":
        wrong += sorted(
            name for name in names if not re.match(rf"sockserve/|sockserve-[^/]*\.dist-info/|{PLUGIN}$", name)
        )
    if missing or wrong:
        sys.exit(f"{kind}: lacks {missing}, must not have {wrong}")


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        check_names("wheel", set(archive.namelist()))


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        check_names("sdist", {name.partition("/")[2] for name in archive.getnames()})


def check_install(kind: str, place: Path, *requirement: str | Path) -> None:
    """Install into a new environment, and serve from there."""
    run(sys.executable, "-m", "venv", place, cwd=ROOT)
    run(place / "bin/pip", "install", "--quiet", *requirement, cwd=place)
    root = Path("/")
    if not re.search(r"^ +sockserve ", run(place / "bin/twistd", "--help", cwd=root), re.MULTILINE):
        sys.exit(f"{kind}: twistd --help does not list sockserve")
    with subprocess.Popen(
        [place / "bin/twistd", "-n", "--pidfile=", "sockserve", "--listen", "tcp:0:interface=127.0.0.1"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as twistd:
        watchdog = threading.Timer(PATIENCE, twistd.kill)
        watchdog.start()
        assert twistd.stdout is not None
        log = ""
        for line in twistd.stdout:
            log += line
            if match := re.search(r"listens on 127\.0\.0\.1:(\d+)", line):
                check_echo(kind, int(match[1]))
                twistd.send_signal(signal.SIGTERM)
        status = twistd.wait()
        watchdog.cancel()
    # When it has shut down, Twisted ends the process by the signal that asked for it.
    if status != -signal.SIGTERM or "listens on" not in log or "Server Shut Down" not in log:
        sys.exit(f"{log}\n{kind}: twistd ended with status {status}")
    print(f"{kind}: installed, listed, served, ended on SIGTERM", flush=True)


def check_echo(kind: str, port: int) -> None:
    sent = b"this is a test"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, client.makefile("rb") as stream:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = stream.read()
    if received != sent:
        sys.exit(f"{kind}: {sent!r} came back as {received!r}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="sockserve-") as name:
        work = Path(name)
        tree = work / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        # What a twistd run in the checkout leaves behind must not be packed.
        (tree / "twisted/plugins/dropin.cache").write_bytes(b"")
        for kind in ("sdist", "wheel", "again"):
            (work / kind).mkdir()
        sdist = build("sdist", tree, work / "sdist")
        check_sdist(sdist)
        wheel = build("wheel", tree, work / "wheel")
        check_wheel(wheel)
        with tarfile.open(sdist) as archive:
            archive.extractall(work / "unpacked", filter="data")
        [unpacked] = (work / "unpacked").iterdir()
        check_wheel(build("wheel", unpacked, work / "again"))

        check_install("wheel", work / "from-wheel", wheel)
        check_install("sdist", work / "from-sdist", sdist)
        check_install("editable", work / "editable", "--editable", tree)


if __name__ == "__main__":
    main()
