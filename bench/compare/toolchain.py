"""What is built before a run: the load, the servers in C, Go and Erlang, and a certificate."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / "bench" / "peers"
LOAD = ROOT / "bench" / "load" / "load.c"


@dataclass(frozen=True)
class Programs:
    """Each is None where its toolchain is not installed. erlang: a folder. pem: a key and its certificate, ECDSA."""

    load: Path | None
    c: Path | None
    go: Path | None
    erlang: Path | None
    pem: Path | None


def build(folder: Path) -> Programs:
    """Build all that can be built here into the folder."""

    def into(name: str, tool: str, *command: str | Path, **environment: str) -> Path | None:
        if not shutil.which(tool):
            return None
        target = folder / name
        words = [target if word == "TARGET" else word for word in command]
        subprocess.run([tool, *words], env=os.environ | environment, capture_output=True, check=True)
        return target

    erlang = folder / "erlang"
    erlang.mkdir()
    go = {"GO111MODULE": "off", "GOCACHE": os.environ.get("GOCACHE", str(folder / "go-cache"))}
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    pem = into(
        *("key.pem", "openssl", "req", "-x509", *curve, "-nodes", "-days", "30", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost", "-keyout", "TARGET", "-out", folder / "certificate.pem"),
    )
    if pem:
        pem.write_text(pem.read_text() + (folder / "certificate.pem").read_text())
    return Programs(
        load=into("load", "gcc", "-O2", "-o", "TARGET", LOAD),
        c=into("echo-c", "gcc", "-O2", "-o", "TARGET", PEERS / "echo.c"),
        go=into("echo-go", "go", "build", "-o", "TARGET", PEERS / "echo.go", **go),
        erlang=erlang if into("erlang", "erlc", "-o", erlang, PEERS / "echo.erl") else None,
        pem=pem,
    )
