"""The servers that are compared. Each is an echo server, or a relay, started with a framing and a port on 127.0.0.1."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.compare.toolchain import PEERS, ROOT, Programs

FRAMINGS = (
    "raw",
    "int8",
    "int16",
    "int32",
    "windev",
    "netstring",
    "varint",
    "fixed:32",
    "standard",
    "buffered",
    "buffered:\\n",
    "envelope:\\x02:\\x03",
)
_ASYNCIO = ("raw", "int32", "windev", "standard", "buffered")
_TWISTED = ("int32", "netstring", "standard", "buffered")
TWISTD = "from twisted.scripts.twistd import run; run()"


@dataclass(frozen=True)
class Place:
    """What a server is started with. pem: a file with a key and a certificate; None: no TLS."""

    framing: str
    port: int
    pem: Path | None = None

    def words(self) -> list[str]:
        """As arguments of the programs in bench/peers."""
        return [self.framing, str(self.port), *([str(self.pem)] if self.pem else [])]


@dataclass(frozen=True)
class Peer:
    """name: in options and files. title: for people. framings: those it has. ours: whether it is sockserve.

    environment: variables to add. tls: whether it has TLS. relay: it does not answer, but relays.
    """

    name: str
    title: str
    framings: tuple[str, ...]
    command: Callable[[Place], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    tls: bool = True
    relay: bool = False


def sockserve_peers(python: str, form: str = "", environment: Mapping[str, str] | None = None) -> Iterator[Peer]:
    """The echo of twistd, and servers as users write them, in Python. form: is added to their names and titles."""

    def twistd(*general: str) -> Callable[[Place], list[str]]:
        def command(place: Place) -> list[str]:
            listen = f"tcp:{place.port}:interface=127.0.0.1:backlog=1024"
            if place.pem:
                listen = listen.replace("tcp:", "ssl:") + f":privateKey={place.pem}:certKey={place.pem}"
            options = ["--framing", place.framing, "--listen", listen, "--max-length", "64M"]
            return [python, "-P", "-c", TWISTD, "-n", "--pidfile=", *general, "sockserve", *options]

        return command

    suffix, words = (f"-{form}", f", {form}") if form else ("", "")
    added = dict(environment or {})
    yield Peer(f"echo{suffix}", f"twistd sockserve{words}", FRAMINGS, twistd(), added, ours=True)
    program = "sockserve_server.py"
    yield Peer(
        f"subclass{suffix}", f"MessageProtocol{words}", FRAMINGS, running(python, program, "subclass"), added, ours=True
    )
    if form:
        return
    kinds = {"function": "function", "async": "async def", "conversation": "conversation", "threads": "threads"}
    for kind, title in kinds.items():
        yield Peer(kind, title, FRAMINGS, running(python, program, kind), ours=True)
    for loop in ("asyncio", "uvloop"):
        for kind, title in (("subclass", "MessageProtocol"), ("async", "async def"), ("conversation", "conversation")):
            command = running(python, program, kind)
            yield Peer(f"{kind}-{loop}", f"{title}, on {loop}", FRAMINGS, command, {"REACTOR": loop}, ours=True)
    yield Peer("echo-uvloop", "twistd sockserve, on uvloop", FRAMINGS, twistd("--reactor=uvloop"), ours=True)
    yield Peer("relay", "sockserve relay", ("int32",), running(python, program, "relay"), ours=True, relay=True)


def python_peers(python: str) -> Iterator[Peer]:
    """The servers that need only what is installed for that interpreter."""
    receivers, protocol, streams = "twisted_receivers.py", "asyncio_protocol.py", "asyncio_streams.py"
    for suffix, words, reactor in (("", "", {}), ("-uvloop", ", on uvloop", {"REACTOR": "uvloop"})):
        receiver, echo = running(python, receivers, "receiver"), running(python, receivers, "echo")
        yield Peer(f"twisted{suffix}", f"Twisted's receivers{words}", _TWISTED, receiver, reactor)
        yield Peer(f"twisted-echo{suffix}", f"Twisted's Echo{words}", FRAMINGS, echo, reactor)
    for loop in ("asyncio", "uvloop"):
        chosen = {"LOOP": loop}
        yield Peer(f"{loop}-streams", f"{loop} streams", _ASYNCIO, running(python, streams), chosen)
        yield Peer(f"{loop}-protocol", f"{loop} Protocol", _ASYNCIO, running(python, protocol, "echo"), chosen)
    yield Peer("relay-twisted", "a loop on Twisted", ("int32",), running(python, receivers, "relay"), relay=True)
    yield Peer("relay-asyncio", "a loop on asyncio", ("int32",), running(python, protocol, "relay"), relay=True)


def running(python: str, program: str, *kind: str) -> Callable[[Place], list[str]]:
    return lambda place: [python, "-P", str(PEERS / program), *kind, *place.words()]


def compiled_peers(programs: Programs) -> Iterator[Peer]:
    """The servers whose toolchain is installed."""

    def built(program: Path) -> Callable[[Place], list[str]]:
        return lambda place: [str(program), *place.words()]

    if programs.go:
        yield Peer("go", "Go", FRAMINGS, built(programs.go), {"GOMAXPROCS": "1"})
    if erlang := programs.erlang:
        # One scheduler for one core, which does not spin while it waits.
        still = ("+S", "1:1", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none")
        words = ["erl", "-noinput", *still, "-pa", str(erlang), "-s", "echo", "-extra"]
        yield Peer(
            "erlang",
            "Erlang",
            ("raw", "int32", "buffered"),
            lambda place: [*words, *place.words()],
            tls=False,
        )
    if programs.c:
        yield Peer("c", "C", FRAMINGS, built(programs.c), tls=False)


def all_peers(python: str, programs: Programs) -> list[Peer]:
    """First sockserve, as installed for `python`; then its pure form, if that is another one; then the others."""
    peers = list(sockserve_peers(python))
    if compiled_rooms(python):
        peers += sockserve_peers(python, "pure", {"PYTHONPATH": str(ROOT)})
    peers += [*python_peers(python), *compiled_peers(programs)]
    return peers if _has_uvloop(python) else [peer for peer in peers if "uvloop" not in peer.name]


def _has_uvloop(python: str) -> bool:
    return subprocess.run([python, "-P", "-c", "import uvloop"], capture_output=True, check=False).returncode == 0


def compiled_rooms(python: str) -> list[str]:
    """The rooms of sockserve that are compiled in the environment of that interpreter."""
    question = (
        "import pathlib, sockserve; root = pathlib.Path(sockserve.__file__).parent; "
        "print(*sorted({p.relative_to(root).parts[0] for s in ('so', 'pyd') for p in root.glob(f'*/**/*.{s}')}))"
    )
    answer = subprocess.run([python, "-P", "-c", question], cwd="/", capture_output=True, text=True, check=True)
    return answer.stdout.split()
