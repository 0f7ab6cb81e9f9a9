"""Every program in examples/ runs and answers; what the documents print is what really comes."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import NAMES
from sockserve.service import Options

ROOT = Path(__file__).parent.parent
TIMEOUT = 20.0
PROMPT = "$ .venv/bin/twistd -n sockserve"


class ExamplesTests(SynchronousTestCase):
    """Each program is a process of its own; the client here is a plain blocking socket."""

    def start(self, name: str) -> tuple[str, int]:
        """Run an example on a free port; its address, once it listens."""
        program = subprocess.Popen(
            [sys.executable, ROOT / "examples" / name, "tcp:0:interface=127.0.0.1"], stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        self.addCleanup(program.wait, TIMEOUT)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.terminate)
        line = program.stdout.readline()
        match = re.search(r"listens on .*host='127\.0\.0\.1', port=(\d+)", line)
        assert match is not None, f"{name} printed {line!r}"
        return "127.0.0.1", int(match[1])

    def talk(self, name: str, *steps: tuple[bytes, bytes], end: bool = True) -> None:
        """Send and expect in turn; then shut down the sending side if `end`, and expect the end of the stream."""
        with socket.create_connection(self.start(name), TIMEOUT) as client, client.makefile("rb") as stream:
            for sent, expected in steps:
                client.sendall(sent)
                self.assertEqual(stream.read(len(expected)), expected)
            if end:
                client.shutdown(socket.SHUT_WR)
            self.assertEqual(stream.read(), b"")

    def test_upper(self) -> None:
        self.talk("upper.py", (b"11\r\nHello World", b"11\r\nHELLO WORLD"), (b"0\r\n", b"0\r\n"))

    def test_upper_answers_a_client_that_shuts_down_its_sending_side_at_once(self) -> None:
        with socket.create_connection(self.start("upper.py"), TIMEOUT) as client, client.makefile("rb") as stream:
            client.sendall(b"11\r\nHello World")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(stream.read(), b"11\r\nHELLO WORLD")

    def test_change_of_framing_inside_one_read(self) -> None:
        self.talk(
            "change_framing.py",
            (b"a line\r\nFRAMING int32\r\n\0\0\0\x05\r\n\r\n!", b"a line\r\nOK\r\n\0\0\0\x05\r\n\r\n!"),
            (b"\0\0\0\x0eFRAMING windev", b"\0\0\0\x02OK"),
            (b"4\r\nback", b"4\r\nback"),
        )

    def test_change_to_an_unknown_framing(self) -> None:
        refused = (
            b"ERROR unknown framing 'int23' (did you mean 'int32'?); accepted: " + ", ".join(NAMES).encode() + b"\r\n"
        )
        self.talk("change_framing.py", (b"FRAMING int23\r\n", refused), (b"still lines\r\n", b"still lines\r\n"))

    def test_line_receiver_and_its_twin(self) -> None:
        for name in ("line_receiver.py", "line_receiver_twin.py"):
            with self.subTest(name):
                steps = (b"1 2 3\r\n", b"6\r\n"), (b"\r\n40 ", b"0\r\n"), (b"2\r\nbye\r\n", b"42\r\nbye\r\n")
                self.talk(name, *steps, end=False)

    def test_int32_receiver_and_its_twin(self) -> None:
        long = bytes(range(256)) * 1024
        size = len(long).to_bytes(4)
        for name in ("int32_receiver.py", "int32_receiver_twin.py"):
            with self.subTest(name):
                self.talk(name, (b"\0\0\0\x03abc", b"\0\0\0\x03cba"), (size + long, size + long[::-1]))


class DocumentsTests(SynchronousTestCase):
    def test_the_server_in_the_readme_is_the_example(self) -> None:
        readme = (ROOT / "README.md").read_text()
        [program] = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        self.assertEqual(program, (ROOT / "examples/upper.py").read_text())

    def test_wrong_options_print_what_the_guide_shows(self) -> None:
        shown = 0
        for page in sorted((ROOT / "docs").glob("*.md")):
            for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
                command, _, output = block.partition("\n")
                if not output.startswith("twistd sockserve: ") or "Couldn't listen" in output or "--config" in command:
                    continue
                assert command.startswith(PROMPT), command
                with self.assertRaises(UsageError) as caught:
                    Options().parseOptions(shlex.split(command.removeprefix(PROMPT)))
                self.assertEqual(f"twistd sockserve: {caught.exception}\n", output)
                shown += 1
        self.assertGreater(shown, 4)
