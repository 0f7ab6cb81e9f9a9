"""Does what is built and installed serve, compiled and pure? Run it with the `build` package installed, with a C
compiler and Python's headers: python tests/support/check_wheel.py [--leave FOLDER]

Builds the sdist, from that the compiled wheel, and pure wheels: as SOCKSERVE_PURE asks for, and with no compiler or a
broken one. Installs wheels, the sdist and, editable, the tree, each into an environment of its own. From another
directory, twistd must then list sockserve, serve a client that shuts down its sending side, and end on SIGTERM.

Then it fuzzes the compiled wheel, its framings beside the pure ones, and runs the whole test suite on it, with no
source beside the tests. With --leave, it leaves that to somebody else: FOLDER/python is the environment, FOLDER/suite
the directory.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Seconds that nothing here should need.
PATIENCE = 60

PLUGINS = ("twisted/plugins/sockserve_plugin.py", "twisted/plugins/sockserve_reactor.py")
FORBIDDEN = ("twisted/__init__.py", "twisted/plugins/__init__.py", "twisted/plugins/dropin.cache")
REQUIRED = (
    *PLUGINS,
    "sockserve/framing/decoder.py",
    "sockserve/__init__.py",
    "sockserve/py.typed",
    "sockserve/framing/__init__.py",
    "sockserve/testing/__init__.py",
    "sockserve/pytest_plugin.py",
)
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
MODULES = {
    str(path.relative_to(ROOT).with_suffix(""))
    for pattern in BUILD["hooks"]["custom"]["compiled"]
    for path in ROOT.glob(pattern)
}
"""What a compiled wheel has an extension for, beside the source."""
LIBRARY = "sockserve__mypyc"
"""The one that they share."""
SUITE = ("tests", "examples", "bench", "deploy", "docs", "fuzz", "README.md", "pyproject.toml")
"""What the tests need of a checkout."""
NOT_SOURCE = (".git", ".venv", ".nox", ".*_cache", ".hypothesis", "_trial_temp*", "__pycache__", "_build")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))} ended with status {done.returncode}")
    return done.stdout


def build(kind: str, tree: Path, out: Path, **environment: str) -> tuple[Path, list[str]]:
    """Build the sdist or the wheel of a tree into the new directory `out`; the file, and what sockserve said."""
    said = run(sys.executable, "-m", "build", f"--{kind}", "--outdir", out, tree, cwd=out.parent, **environment)
    [made] = out.iterdir()
    print(f"{kind}: {made.name}", flush=True)
    return made, re.findall("^sockserve: (.*)", said, re.MULTILINE)


def check_names(kind: str, names: set[str]) -> None:
    missing = sorted(set(REQUIRED) - names)
    wrong = sorted(set(FORBIDDEN) & names)
    if kind == "wheel":
        wrong += sorted(
            name
            for name in names
            if not re.match(rf"sockserve/|sockserve-[^/]*\.dist-info/|({'|'.join(PLUGINS)})$|{LIBRARY}\.[^/]*$", name)
        )
    if missing or wrong:
        sys.exit(f"{kind}: lacks {missing}, must not have {wrong}")


def check_wheel(wheel: Path, *, compiled: bool) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    check_names("wheel", set(names))
    extensions = [name for name in names if name.endswith((".so", ".pyd"))]
    found = {name.partition(".")[0] for name in extensions}
    pure = wheel.name.endswith("-py3-none-any.whl")
    right = found == {*MODULES, LIBRARY} and not pure if compiled else not extensions and pure
    if not right:
        sys.exit(f"wheel: {wheel.name} was to be {'compiled' if compiled else 'pure'}, and has {extensions}")


def check_pure(name: str, tree: Path, out: Path, reason: str, **environment: str) -> Path:
    """Build a wheel where it cannot be compiled: it is pure, and one line says why."""
    wheel, said = build("wheel", tree, out, **environment)
    check_wheel(wheel, compiled=False)
    if said != [f"nothing is compiled, {reason}; the pure form works the same"]:
        sys.exit(f"{name}: the build said {said}")
    return wheel


def check_sdist(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        check_names("sdist", {name.partition("/")[2] for name in archive.getnames()})


def check_install(
    kind: str, place: Path, *requirement: str | Path, compiled: bool, reactor: str = "epoll", **environment: str
) -> None:
    """Install into a new environment, and serve from there, on that reactor."""
    run(sys.executable, "-m", "venv", place, cwd=ROOT)
    run(place / "bin/pip", "install", "--quiet", *requirement, cwd=place, **environment)
    root = Path("/")
    check_form(kind, place, compiled=compiled)
    if not re.search(r"^ +sockserve ", run(place / "bin/twistd", "--help", cwd=root), re.MULTILINE):
        sys.exit(f"{kind}: twistd --help does not list sockserve")
    with subprocess.Popen(
        [
            *(place / "bin/twistd", f"--reactor={reactor}", "-n", "--pidfile="),
            *("sockserve", "--listen", "tcp:0:interface=127.0.0.1"),
        ],
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
    if status or not all(each in log for each in (f", reactor {reactor}\n", "listens on", "Server Shut Down")):
        sys.exit(f"{log}\n{kind}: twistd ended with status {status}")
    print(f"{kind}: installed {'compiled' if compiled else 'pure'}, listed, served, ended on SIGTERM", flush=True)


def check_form(kind: str, place: Path, *, compiled: bool) -> None:
    program = "import sockserve.framing; print(sockserve.framing.compiled)"
    form = run(place / "bin/python", "-c", program, cwd=Path("/")).strip()
    if form != str(compiled):
        sys.exit(f"{kind}: sockserve.framing.compiled is {form}")
    said = run(place / "bin/sockserve", "--version", cwd=Path("/"))
    if not said.endswith(", framings compiled\n" if compiled else ", framings pure\n"):
        sys.exit(f"{kind}: sockserve --version says {said}")


def make_suite(place: Path, wheel: Path, suite: Path) -> None:
    """What fuzzing and the tests need beside the compiled wheel, in a directory without the sources."""
    run(place / "bin/pip", "install", "--quiet", f"{wheel}[test,fuzz]", cwd=place)
    suite.mkdir()
    for name in SUITE:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, suite / name)
    # As they stand in a checkout, the tests would find the sources beside them.
    check_form("suite", place, compiled=True)
    (suite.parent / "empty").mkdir()
    if "sockserve_process" not in run(place / "bin/python", "-m", "pytest", "--fixtures", cwd=suite.parent / "empty"):
        sys.exit("wheel: pytest does not have its fixtures")


def check_suite(place: Path, suite: Path) -> None:
    """Fuzzing, which compares both forms, and all tests."""
    print(run(place / "bin/python", "-m", "fuzz", cwd=suite), flush=True)
    print(run(place / "bin/python", "-m", "pytest", "-q", cwd=suite), flush=True)


def check_echo(kind: str, port: int) -> None:
    sent = b"this is a test"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client, client.makefile("rb") as stream:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        received = stream.read()
    if received != sent:
        sys.exit(f"{kind}: {sent!r} came back as {received!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Does what is built and installed serve, compiled and pure?")
    parser.add_argument("--leave", type=Path, metavar="FOLDER", help="make the compiled suite there, and do not run it")
    left: Path | None = parser.parse_args().leave
    with tempfile.TemporaryDirectory(prefix="sockserve-") as name:
        work = Path(name)
        tree = work / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        # What a twistd run in the checkout leaves behind must not be packed.
        (tree / "twisted/plugins/dropin.cache").write_bytes(b"")
        sdist, _ = build("sdist", tree, work / "sdist")
        check_sdist(sdist)
        with tarfile.open(sdist) as archive:
            # Python 3.11.4 brought filters. This archive is our own, so the older ones may do without.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(work / "unpacked")
        [unpacked] = (work / "unpacked").iterdir()
        wheel, said = build("wheel", unpacked, work / "wheel", SOCKSERVE_PURE="")
        if said:
            sys.exit(f"wheel: the build said {said}")
        check_wheel(wheel, compiled=True)
        missing = str(work / "no-compiler")
        pure = check_pure("pure", tree, work / "pure", "SOCKSERVE_PURE is set", SOCKSERVE_PURE="1")
        check_pure("missing", tree, work / "missing", f"there is no C compiler ({missing})", CC=missing)
        check_pure("broken", tree, work / "broken", "the compiler failed", CC="false")

        compiled = (left or work / "compiled").absolute()
        compiled.mkdir()
        check_install("wheel", compiled / "python", wheel, compiled=True)
        check_install("pure wheel", work / "from-pure", f"{pure}[uvloop]", compiled=False, reactor="uvloop")
        check_install("sdist", work / "from-sdist", sdist, compiled=False, SOCKSERVE_PURE="1")
        check_install("editable", work / "editable", "--editable", tree, compiled=False)
        make_suite(compiled / "python", wheel, compiled / "suite")
        if left is None:
            check_suite(compiled / "python", compiled / "suite")


if __name__ == "__main__":
    main()
