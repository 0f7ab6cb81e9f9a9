"""The machine of a run: which core is whose, and what is installed."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.compare.peers import compiled_rooms
from sockserve import __version__

if TYPE_CHECKING:
    from bench.compare.cases import Pace
    from bench.compare.toolchain import Programs

_BUILD = (
    "import platform, sysconfig; given = sysconfig.get_config_var('CONFIG_ARGS') or ''; "
    "print(platform.python_version(), 'with' if '--enable-optimizations' in given else 'without', 'PGO,', "
    "'with' if '--with-lto' in given else 'without', 'LTO')"
)


def cores() -> tuple[int, set[int]]:
    """The last core for the server, the others for the load; if there is only one, both share it."""
    there = sorted(os.sched_getaffinity(0))
    return there[-1], set(there[:-1]) or set(there)


def allow_descriptors(count: int) -> None:
    """Raise the limit for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        if hard != resource.RLIM_INFINITY and hard < count:
            raise SystemExit(f"{count} descriptors are needed, and {hard} are allowed (ulimit -n)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def about(python: str, pace: Pace, programs: Programs, server: int, load: set[int]) -> dict[str, str]:
    """For people: what ran where, and how it was built."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    compiled = compiled_rooms(python)
    return {
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "other programs": f"load average {os.getloadavg()[0]:.1f} at the start",
        "cores": f"server on {server}, load on {', '.join(map(str, sorted(load)))}",
        "load": "in C" if programs.load else "in Python, which hides part of what a server costs",
        "sockserve": f"{__version__}, compiled: {', '.join(compiled) or 'nothing'}",
        "Python": _answer([python, "-c", _BUILD]) or "unknown",
        "peers": ", ".join(f"{name} {version}" for name, version in _versions(python).items()),
        "rounds": f"{pace.rounds} of {pace.seconds:g} s after {pace.warmup:g} s of warm-up",
    }


def _versions(python: str) -> dict[str, str]:
    """The version of each peer that is installed."""
    asked = {
        "Twisted": [python, "-c", "import twisted; print(twisted.__version__)"],
        "uvloop": [python, "-c", "import uvloop; print(uvloop.__version__)"],
        "OpenSSL": [python, "-c", "import ssl; print(ssl.OPENSSL_VERSION.split()[1])"],
        "Go": ["go", "version"],
        "Erlang/OTP": ["erl", "-noinput", "-eval", 'io:format("~s", [erlang:system_info(otp_release)]), halt().'],
        "gcc": ["gcc", "-dumpfullversion"],
    }
    found = {name: _answer(command) for name, command in asked.items()}
    return {name: text.removeprefix("go version go").partition(" ")[0] for name, text in found.items() if text}


def _answer(command: list[str]) -> str:
    if not shutil.which(command[0]):
        return ""
    answer = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    return "" if answer.returncode else answer.stdout.strip()
