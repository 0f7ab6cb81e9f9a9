"""The servers that are compared. Each is an echo server, started with a framing and a port on 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / "bench" / "peers"

FRAMINGS = ("raw", "int32", "standard", "buffered", "windev", "netstring")
_ASYNCIO = ("raw", "int32", "standard", "buffered", "windev")
TWISTD = "from twisted.scripts.twistd import run; run()"


@dataclass(frozen=True)
class Peer:
    """name: for options and files. title: for people. framings: those it has. environment: variables to add."""

    name: str
    title: str
    framings: tuple[str, ...]
    command: Callable[[str, int], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.name.startswith(("echo", "protocol"))


def ours(python: str, form: str, environment: Mapping[str, str]) -> Iterator[Peer]:
    """sockserve's own servers: the echo of twistd, and a subclass with a Python method for each message."""

    def echo(framing: str, port: int) -> list[str]:
        listen = f"tcp:{port}:interface=127.0.0.1:backlog=1024"
        options = ["--framing", framing, "--listen", listen, "--max-length", "64M"]
        return [python, "-P", "-c", TWISTD, "-n", "--pidfile=", "sockserve", *options]

    def protocol(framing: str, port: int) -> list[str]:
        return [python, "-P", str(PEERS / "message_protocol.py"), framing, str(port)]

    yield Peer(f"echo-{form}", f"sockserve echo, {form}", FRAMINGS, echo, environment)
    yield Peer(f"protocol-{form}", f"MessageProtocol, {form}", FRAMINGS, protocol, environment)


def is_compiled(python: str) -> bool:
    """Whether sockserve is installed for that interpreter in its compiled form."""
    question = "import sockserve.framing as f; print(getattr(f, 'compiled', False))"
    answer = subprocess.run([python, "-P", "-c", question], cwd="/", capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "True"


def python_peers(python: str) -> Iterator[Peer]:
    """The servers that need only what is installed for that interpreter."""

    def running(program: str, *arguments: str) -> Callable[[str, int], list[str]]:
        return lambda framing, port: [python, "-P", str(PEERS / program), framing, str(port), *arguments]

    receivers = ("raw", "int32", "standard", "buffered", "netstring")
    yield Peer("twisted", "Twisted's receivers", receivers, running("twisted_receivers.py"))
    yield Peer("asyncio-streams", "asyncio streams", _ASYNCIO, running("asyncio_streams.py"))
    yield Peer("asyncio-protocol", "asyncio Protocol", _ASYNCIO, running("asyncio_protocol.py"))
    if subprocess.run([python, "-P", "-c", "import uvloop"], capture_output=True, check=False).returncode == 0:
        yield Peer("uvloop-streams", "uvloop streams", _ASYNCIO, running("asyncio_streams.py", "uvloop"))
        yield Peer("uvloop-protocol", "uvloop Protocol", _ASYNCIO, running("asyncio_protocol.py", "uvloop"))


def compiled_peers(folder: Path) -> Iterator[Peer]:
    """The servers whose toolchain is installed, built into `folder`."""
    if shutil.which("go"):
        program = folder / "echo-go"
        environment = os.environ | {"GOFLAGS": "-mod=mod", "GO111MODULE": "off", "GOCACHE": str(folder / "go-cache")}
        subprocess.run(["go", "build", "-o", program, PEERS / "echo.go"], env=environment, check=True)
        yield Peer("go", "Go, bufio", _ASYNCIO, _running(program), {"GOMAXPROCS": "1"})
    if shutil.which("erlc"):
        subprocess.run(["erlc", "-o", folder, PEERS / "echo.erl"], check=True)
        # One scheduler for one core, which does not spin while it waits.
        still = ("+S", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")

        def erlang(framing: str, port: int) -> list[str]:
            return ["erl", "-noinput", *still, "-pa", str(folder), "-s", "echo", "-extra", framing, str(port)]

        yield Peer("erlang", "Erlang, gen_tcp", ("raw", "int32", "buffered"), erlang)
    if shutil.which("gcc"):
        program = folder / "echo-c"
        subprocess.run(["gcc", "-O2", "-o", program, PEERS / "echo.c"], check=True)
        yield Peer("c", "C, epoll", ("raw",), _running(program))


def _running(program: Path) -> Callable[[str, int], list[str]]:
    return lambda framing, port: [str(program), framing, str(port)]


def all_peers(python: str, folder: Path) -> list[Peer]:
    """First sockserve, compiled as installed for `python` and pure as in this checkout; then the others."""
    peers: list[Peer] = []
    if is_compiled(python):
        peers += ours(python, "compiled", {})
    peers += ours(python, "pure", {"PYTHONPATH": str(ROOT)})
    return [*peers, *python_peers(python), *compiled_peers(folder)]


def versions(python: str) -> dict[str, str]:
    """The version of everything that takes part."""
    asked = {
        "Go": ["go", "version"],
        "Erlang/OTP": ["erl", "-noinput", "-eval", 'io:format("~s", [erlang:system_info(otp_release)]), halt().'],
        "gcc": ["gcc", "-dumpfullversion"],
        "Python": [python, "-c", "import platform; print(platform.python_version())"],
        "Twisted": [python, "-c", "import twisted; print(twisted.__version__)"],
        "uvloop": [python, "-c", "import uvloop; print(uvloop.__version__)"],
    }
    found: dict[str, str] = {}
    for name, command in asked.items():
        if shutil.which(command[0]):
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode == 0:
                found[name] = answer.stdout.strip().removeprefix("go version go").partition(" ")[0]
    return found
