"""Every program in examples/ runs and answers; what the documents print is what really comes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest
from urllib.request import urlopen

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from sockserve.framing import NAMES
from sockserve.service.options import Options
from tests.support.authority import Authority
from tests.support.processes import PIPE, ROOT, Process, run
from tests.support.tls_peer import Peer
from tests.support.twistd import running

TIMEOUT = 20.0
LOCAL = "tcp:0:interface=127.0.0.1"
PROMPT = "$ .venv/bin/twistd -n sockserve"


def end(program: Process) -> None:
    """End it, by force if it does not by itself."""
    with program:
        program.terminate()
        try:
            program.wait(TIMEOUT)
        finally:
            program.kill()


class ExamplesTests(SynchronousTestCase):
    """Each program is a process of its own; the client here is a plain blocking socket."""

    def start(self, name: str) -> tuple[str, int]:
        """Run an example on a free port; its address, once it listens."""
        return "127.0.0.1", Program(self, name, LOCAL).port()

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

    def test_upper_as_a_protocol(self) -> None:
        self.talk("upper_protocol.py", (b"11\r\nHello World", b"11\r\nHELLO WORLD"), (b"0\r\n", b"0\r\n"))

    def test_plain_twisted_on_uvloop(self) -> None:
        program = Program(self, "on_uvloop.py", LOCAL)
        line = program.line()
        self.assertTrue(line.startswith("UvloopReactor listens on "), line)
        (port,) = re.findall(r"port=(\d+)", line)
        with socket.create_connection(("127.0.0.1", int(port)), TIMEOUT) as client, client.makefile("rb") as stream:
            client.sendall(b"one\r\ntwo\r\n")
            self.assertEqual(stream.read(10), b"ONE\r\nTWO\r\n")

    def test_in_the_process_of_a_web_server(self) -> None:
        program = Program(self, "in_twisted_web.py", LOCAL, LOCAL)
        line = program.line()
        ours, webs = re.findall(r"port=(\d+)", line)
        page = f"http://127.0.0.1:{webs}/"
        with socket.create_connection(("127.0.0.1", int(ours)), TIMEOUT) as client, client.makefile("rb") as stream:
            client.sendall(b"1\r\na")
            self.assertEqual(stream.read(4), b"1\r\nA")
            with urlopen(page, timeout=TIMEOUT) as response:
                self.assertEqual(response.read(), b"1 clients\n")

    def test_in_an_asyncio_program(self) -> None:
        program = Program(self, "in_asyncio.py", LOCAL)
        with (
            socket.create_connection(("127.0.0.1", program.port()), TIMEOUT) as client,
            client.makefile("rb") as stream,
        ):
            client.sendall(b"1\r\na1\r\nb")
            self.assertEqual(stream.read(8), b"1\r\nA1\r\nB")
            program.process.terminate()
            # It is stopped in order, and says so to its clients.
            self.assertEqual(stream.read(), b"")
        self.assertEqual(program.ends(), (0, []))

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


class Connection:
    """A plain blocking client on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._stream = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def end(self) -> None:
        """Shut down the sending side."""
        self.socket.shutdown(socket.SHUT_WR)

    def expect(self, data: bytes) -> None:
        """The next bytes are these."""
        received = self._stream.read(len(data))
        assert received == data, received

    def line(self) -> bytes:
        return self._stream.readline().rstrip(b"\r\n")

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        return self._stream.read()

    def close(self) -> None:
        self._stream.close()
        self.socket.close()


class Program:
    """An example that runs, and what it prints. Arguments behind the name are its own."""

    def __init__(self, case: SynchronousTestCase, name: str, *arguments: str) -> None:
        self.process = Process(
            [sys.executable, ROOT / "examples" / name, *arguments], stdout=PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout
        case.addCleanup(end, self.process)

    def port(self) -> int:
        """The port of the next line that says where the program listens."""
        lines = []
        for line in self.output:
            if match := re.search(r"listens on (?:.*host='127\.0\.0\.1', port=|127\.0\.0\.1:)(\d+)", line):
                return int(match[1])
            lines.append(line)
        raise AssertionError(f"{self.process.args}: {lines}")

    def line(self) -> str:
        """The next line."""
        return str(self.output.readline())

    def ends(self) -> tuple[int, list[str]]:
        """Its exit status and the lines that it still prints."""
        lines = self.output.read().splitlines()
        return self.process.wait(TIMEOUT), lines


class ProgramTestCase(SynchronousTestCase):
    def server(self, name: str, *arguments: str) -> tuple[Program, int]:
        program = Program(self, name, LOCAL, *arguments)
        return program, program.port()

    def client(self, port: int) -> Connection:
        connection = Connection(port)
        self.addCleanup(connection.close)
        return connection


class WinsockAndWindevTests(ProgramTestCase):
    """The programs for those who know Winsock or WLanguage."""

    def test_the_winsock_pair_prints_what_the_sample_prints(self) -> None:
        server, port = self.server("winsock_server.py")
        client = Program(self, "winsock_client.py", f"tcp:localhost:{port}")
        self.assertEqual(client.ends(), (0, ["Bytes Sent: 14", "Bytes received: 14", "Connection closed"]))
        self.assertEqual(server.ends(), (0, ["Bytes received: 14", "Bytes sent: 14", "Connection closing..."]))

    def test_the_winsock_server_reads_512_bytes_at_the_most_and_serves_one_client(self) -> None:
        server, port = self.server("winsock_server.py")
        client, second = self.client(port), self.client(port)
        self.assertEqual(second.rest(), b"")
        client.send(b"x" * 600)
        client.end()
        self.assertEqual(client.rest(), b"x" * 600)
        status, lines = server.ends()
        self.assertEqual((status, lines[-1]), (0, "Connection closing..."))
        sizes = [int(line.rpartition(" ")[2]) for line in lines if line.startswith("Bytes received: ")]
        self.assertEqual((sum(sizes), max(sizes) <= 512), (600, True))

    def test_the_winsock_client_without_a_server(self) -> None:
        command = (sys.executable, str(ROOT / "examples/winsock_client.py"), "tcp:127.0.0.1:1")
        client = run(command, text=True, timeout=TIMEOUT)
        self.assertEqual((client.returncode, client.stderr), (1, "Unable to connect to server!\n"))

    def test_the_simplified_server_serves_one_client_after_the_other(self) -> None:
        _, port = self.server("windev_simplified_server.py")
        first, second = self.client(port), self.client(port)
        second.send(b"3\r\ntwo")
        first.send(b"3\r\none")
        self.assertEqual(first.rest(), b"13\r\nYou said: one")
        first.close()
        self.assertEqual(second.rest(), b"13\r\nYou said: two")

    def test_the_simplified_server_and_the_client_over_tls(self) -> None:
        authority = Authority(self.mktemp())
        server = Program(self, "windev_simplified_server.py", authority.listen())
        client = Program(self, "windev_client.py", authority.trusting(server.port()), "secret")
        self.assertEqual(client.ends(), (0, ["You said: secret"]))

    def test_smtplib_and_openssl_begin_tls_with_the_starttls_server(self) -> None:
        authority = Authority(self.mktemp())
        port = Program(self, "starttls_server.py", LOCAL, str(authority.server)).port()
        context = ssl.create_default_context(cafile=str(authority.ca))
        with smtplib.SMTP("localhost", port, timeout=TIMEOUT) as client:
            self.assertEqual(client.ehlo(), (250, b"localhost\nSTARTTLS"))
            self.assertEqual(client.starttls(context=context), (220, b"go ahead"))
            self.assertEqual(client.ehlo(), (250, b"localhost"))
            self.assertEqual(client.docmd("VRFY", "root"), (502, b"no such command here"))
        command = ["openssl", "s_client", "-starttls", "smtp", "-connect", f"localhost:{port}", "-quiet"]
        for version in ("-tls1_2", "-tls1_3"):
            done = subprocess.run(
                [*command, "-CAfile", authority.ca, "-verify_return_error", version],
                input=b"QUIT\r\n",
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
            )
            self.assertEqual((done.returncode, done.stdout), (0, b"221 bye\r\n"), done.stderr)

    def test_the_standard_server_and_the_client(self) -> None:
        _, port = self.server("windev_standard_server.py")
        requests = ("Hello World", "EXIST Orders", "EXIST Invoices", "WHO")
        status, lines = Program(self, "windev_client.py", f"tcp:localhost:{port}", *requests).ends()
        self.assertEqual((status, lines[:3]), (0, ["Hello World", "yes", "no"]))
        self.assertRegex(lines[3], r"^127\.0\.0\.1:\d+, message 4$")

    def test_the_standard_server_changes_the_mode(self) -> None:
        client = self.client(self.server("windev_standard_server.py")[1])
        client.send(b"19\r\nMODE standard:<EOF>Hello World<EOF>")
        client.end()
        self.assertEqual(client.rest(), b"2\r\nOKHello World<EOF>")

    def test_the_standard_server_denies(self) -> None:
        _, port = self.server("windev_standard_server.py", "127.0.0.1")
        with self.assertRaises(ConnectionResetError):
            self.client(port).rest()

    def test_the_client_tells_the_ends_of_a_read_apart(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(TIMEOUT)
            port = listening.getsockname()[1]
            client = Program(self, "windev_client.py", f"tcp:127.0.0.1:{port}", "one", "two", "three")
            with listening.accept()[0] as server:
                server.settimeout(TIMEOUT)
                with server.makefile("rb") as stream:
                    self.assertEqual(stream.read(6), b"3\r\none")
                    # Only when it has stopped waiting for the first answer does it ask for the second.
                    self.assertEqual(stream.read(6), b"3\r\ntwo")
                    server.sendall(b"3\r\nONE5\r\nTW")
                    server.shutdown(socket.SHUT_WR)
                    self.assertEqual(stream.read(), b"5\r\nthree")
            status, lines = client.ends()
        self.assertEqual(status, 0)
        self.assertEqual(lines[:2], ["no answer yet", "ONE"])
        self.assertEqual(
            lines[2:],
            ["an unfinished answer: stream ended inside a frame: header announced 5 bytes, 2 arrived"],
        )


class FieldTests(ProgramTestCase):
    """The programs for devices and old applications; the peers speak with plain sockets."""

    def test_syslog_in_both_forms_becomes_lines_of_json(self) -> None:
        program, port = self.server("syslog_collector.py")
        counting, lines = self.client(port), self.client(port)
        counting.send(b"13 <11>disk full")
        record = json.loads(program.line())
        self.assertEqual((record["facility"], record["severity"], record["text"]), ("user", "err", "disk full"))
        lines.send(b"<165>two\nnonsense\n")
        record = json.loads(program.line())
        self.assertEqual((record["facility"], record["severity"], record["text"]), (20, "notice", "two"))
        self.assertIn("refused: it does not begin with a priority", program.line())
        self.assertEqual(lines.rest(), b"")

    def test_the_payment_host_approves_and_declines(self) -> None:
        _, port = self.server("payment_host.py")
        terminal = self.client(port)
        for amount, code in ((b"000000005000", b"00"), (b"000000005001", b"51")):
            terminal.send(b"0024" + b"0200" + b"00000042" + amount)
            terminal.expect(b"0026" + b"0210" + b"00000042" + amount + code)
        terminal.send(b"0004" + b"0800")
        self.assertEqual(terminal.rest(), b"")

    def test_the_language_server_echoes_and_exits(self) -> None:
        _, port = self.server("language_server.py")
        editor = self.client(port)

        def send(**request: object) -> None:
            text = json.dumps({"jsonrpc": "2.0", **request}).encode()
            header = b"content-length: %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n"
            editor.send(header % len(text) + text)

        send(id=1, method="initialize", params={})
        send(method="initialized", params={})
        send(id=2, method="echo", params=["gr\u00fc\u00dfe", {"a": 1}])
        send(id=3, method="unheard")
        send(id=4, method="shutdown")
        send(method="exit")
        answers = []
        for part in editor.rest().split(b"Content-Length: ")[1:]:
            size, _, text = part.partition(b"\r\n\r\n")
            self.assertEqual(len(text), int(size))
            answers.append(json.loads(text))
        self.assertEqual([answer["id"] for answer in answers], [1, 2, 3, 4])
        self.assertEqual(answers[0]["result"]["serverInfo"], {"name": "echo"})
        self.assertEqual(answers[1]["result"], ["gr\u00fc\u00dfe", {"a": 1}])
        self.assertEqual(answers[2]["error"]["code"], -32601)

    def test_the_modbus_gateway_shares_one_device(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _, port = self.server("modbus_gateway.py", f"tcp:127.0.0.1:{listener.getsockname()[1]}")
            listener.settimeout(TIMEOUT)
            device = listener.accept()[0]
        self.addCleanup(device.close)
        first, second = self.client(port), self.client(port)
        read = b"\0\0\0\6\x11\3\0\x6b\0\1"
        for number, client in enumerate((first, second, first)):
            transaction = bytes([0, number])
            client.send(transaction + read)
            self.assertEqual(device.recv(100), transaction + read)
            device.sendall(transaction + b"\0\0\0\5\x11\3\2\0" + bytes([number]))
            client.expect(transaction + b"\0\0\0\5\x11\3\2\0" + bytes([number]))

    def test_the_hl7_receiver_accepts_and_rejects(self) -> None:
        authority = Authority(self.mktemp())
        program = Program(self, "hl7_receiver.py", LOCAL, str(authority.server))
        port = program.port()
        header = b"MSH|^~\\&|LAB|HERE|EHR|THERE|20261126||ORU^R01|%d|P|2.5\r"
        context = ssl.create_default_context(cafile=str(authority.ca))
        with (
            socket.create_connection(("127.0.0.1", port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"\x0b" + header % 1 + b"PID|1||4711||Doe^Jane\r\x1c\r\n")
            client.sendall(b"\x0b" + header % 2 + b"OBX|1\r\x1c\r")
            received = b""
            while received.count(b"\x1c\r") < 2:
                received += client.recv(4096)
        first, second, _ = received.split(b"\x1c\r")
        self.assertIn(b"\rMSA|AA|1\r", first)
        self.assertIn(b"\rMSA|AR|2", second)
        self.assertIn(b"no patient", second)
        self.assertIn("4711 Doe^Jane", program.line())


class ApplicationTests(ProgramTestCase):
    """The programs for those who build something larger."""

    def test_the_bridge_gives_each_side_its_own_framing(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(TIMEOUT)
            _, port = self.server("bridge.py", f"tcp:127.0.0.1:{listening.getsockname()[1]}")
            scale = self.client(port)
            scale.send(b"\x0212.5 kg\x03\x0213.0 kg\x03")
            with listening.accept()[0] as application:
                application.settimeout(TIMEOUT)
                with application.makefile("rb") as stream:
                    self.assertEqual(stream.read(24), b"12.5 kg<EOF>13.0 kg<EOF>")
                    application.sendall(b"tare<EOF>")
                    scale.expect(b"\x02tare\x03")
                    scale.end()
                    self.assertEqual(stream.read(), b"")
            self.assertEqual(scale.rest(), b"")

    def test_weights_of_a_scale_are_lines_of_json(self) -> None:
        program, port = self.server("scale_to_json.py", LOCAL)
        scale, client = self.client(port), self.client(program.port())
        client.send(b"?\n")
        self.assertEqual(client.line(), b"null")
        scale.send(b"\x02US,+0012.00kg\x03\x02ST,+0012.50kg\x03")
        self.assertEqual(client.line(), b'{"stable": false, "weight": 12.0, "unit": "kg"}')
        self.assertEqual(client.line(), b'{"stable": true, "weight": 12.5, "unit": "kg"}')
        scale.send(b"\x02paper jam\x03")
        self.assertEqual(scale.rest(), b"")
        self.assertIn("refused: b'paper jam' is no weight; closing", program.line())

    def test_the_room_has_two_framings(self) -> None:
        program, port = self.server("chat.py", LOCAL)
        person, other, windev = self.client(port), self.client(port), self.client(program.port())
        # Whoever has been heard is in the room.
        self.hear(b"hello\r\n", person, (other, b"hello\r\n"), (windev, b"5\r\nhello"))
        self.hear(b"3\r\nall", windev, (other, b"all\r\n"), (person, b"all\r\n"))

    def hear(self, sent: bytes, sender: Connection, *listeners: tuple[Connection, bytes]) -> None:
        """Everyone else hears it, at the latest the time that it is said with everyone there."""
        for listener, expected in listeners:
            listener.socket.settimeout(0.2)
            heard = b""
            while not heard.endswith(expected):
                sender.send(sent)
                try:
                    heard += listener.socket.recv(65536)
                except TimeoutError:
                    continue
            listener.socket.settimeout(TIMEOUT)

    def test_threads_answer_in_order(self) -> None:
        client = self.client(self.server("threads.py")[1])
        messages = [b"%d" % number for number in range(8)]
        client.send(b"\r\n".join([*messages, b""]))
        client.end()
        hashes = [hashlib.pbkdf2_hmac("sha256", message, b"salt", 100_000).hex().encode() for message in messages]
        self.assertEqual(client.rest().splitlines(), hashes)

    def test_a_client_is_refused_by_the_name_in_its_certificate(self) -> None:
        authority = Authority(self.mktemp())
        program, port = self.server("client_certificates.py", str(authority.server), str(authority.ca), "shop", "till")
        for name in ("shop", "till"):
            certificate = authority.issue(name, authority.folder / f"{name}.key")
            with Peer(("127.0.0.1", port), certificate=certificate) as client:
                client.send(b"5\r\nhello", end=True)
                answer = f"{name} said hello".encode()
                self.assertEqual(client.rest(), b"%d\r\n" % len(answer) + answer)
        certificate = authority.issue("stranger", authority.folder / "stranger.key")
        with Peer(("127.0.0.1", port), certificate=certificate) as client, self.assertRaises(ConnectionResetError):
            client.rest()
        self.assertEqual(program.output.readline(), "refused: stranger\n")

    def test_the_client_comes_back(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(TIMEOUT)
            client = Program(self, "reconnecting_client.py", f"tcp:127.0.0.1:{listening.getsockname()[1]}")
            for text in ("first", "second"):
                with listening.accept()[0] as server:
                    server.settimeout(TIMEOUT)
                    with server.makefile("rb") as stream:
                        self.assertEqual(stream.read(12), b"9\r\nhere I am")
                    server.sendall(b"%d\r\n%s" % (len(text), text.encode()))
                    self.assertEqual(client.output.readline(), f"{text}\n")

    def test_a_push_reaches_the_client_with_that_id(self) -> None:
        program, port = self.server("push.py", "udp:0")
        pushes = ("127.0.0.1", program.port())
        clients = [self.client(port) for _ in range(2)]
        numbers = [client.line().removeprefix(b"you are ") for client in clients]
        self.assertEqual(sorted(numbers), [b"1", b"2"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.settimeout(TIMEOUT)
            for client, number in zip(clients, numbers, strict=True):
                sender.sendto(number + b" for " + number, pushes)
                self.assertEqual(sender.recv(100), b"sent")
                self.assertEqual(client.line(), b"for " + number)
            sender.sendto(b"3 hello", pushes)
            self.assertEqual(sender.recv(100), b"nobody")


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

    def test_the_certificate_of_the_page_about_tls_is_accepted_by_a_strict_client(self) -> None:
        if shutil.which("openssl") is None:
            if "CI" in os.environ:
                self.fail("openssl is not installed")
            raise SkipTest("openssl is not installed")
        [commands] = re.findall(r"```sh\n(openssl .*?)```", (ROOT / "docs/tls.md").read_text(), re.DOTALL)
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        subprocess.run(commands, shell=True, cwd=folder, capture_output=True, check=True)
        (folder / "sockserve.toml").write_text(f"""
            [socket.secret]
            listen = "{LOCAL}"
            tls = {{ certificate = "{folder}/server.pem", key = "{folder}/server.key" }}
        """)
        context = ssl.create_default_context(cafile=folder / "server.pem")
        # As Python has it by itself since 3.13.
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        with running("--config", str(folder / "sockserve.toml")) as server:
            for name in ("localhost", "127.0.0.1"):
                with (
                    socket.create_connection(server.address, TIMEOUT) as connection,
                    context.wrap_socket(connection, server_hostname=name) as client,
                ):
                    client.sendall(b"this is a test")
                    self.assertEqual(client.recv(100), b"this is a test")
