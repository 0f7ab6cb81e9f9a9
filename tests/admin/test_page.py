"""The page in a real browser: its numbers move, its buttons need the token, and peers cannot put anything into it."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.support.twistd import PATIENCE, Server

TOKEN = "the token of the tests".replace(" ", "-")
HOSTILE = "<img src=x onerror=document.title='owned'>"

CONFIG = f"""
admin = "tcp:0:interface=127.0.0.1"
admin_token_file = "TOKEN"

[socket.orders]
listen = "tcp:0:interface=127.0.0.1"
framing = "windev"
idle_timeout = "5min"

[socket."{HOSTILE}"]
listen = "tcp:0:interface=127.0.0.1"
framing = "windev"
max_connections = 1
"""

# Whether the text is readable: contrast as WCAG 2 computes it, of elements against the background behind them.
CONTRAST = """
const light = (color) => {
  const [r, g, b] = color.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if (color !== "rgba(0, 0, 0, 0)") return color;
  }
};
let worst = [99, ""];
for (const element of document.querySelectorAll("h1,h2,h3,h4,p,dt,dd,th,td,button,a,summary,.state,.hex span,.kind")) {
  if (!element.textContent.trim() || !element.checkVisibility()) continue;
  const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < worst[0]) worst = [contrast, element.outerHTML];
}
return worst;
"""


# What is to be done with the browser at the end.
ENDS = ExitStack()
atexit.register(ENDS.close)


@cache
def browser() -> Any:  # noqa: ANN401 - a driver of selenium
    """A headless Chromium for all tests, with a profile of its own."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    folder = ENDS.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    ENDS.callback(driver.quit)
    return driver


class PageTests(SynchronousTestCase):
    @classmethod
    def tearDownClass(cls) -> None:
        """Trial does not call it; with trial the browser ends when the process does."""
        ENDS.close()
        browser.cache_clear()

    def setUp(self) -> None:
        if not (shutil.which("chromium") and shutil.which("chromedriver")):
            if "CI" in os.environ:
                self.fail("chromium and chromedriver are missing")
            raise SkipTest("chromium and chromedriver are missing")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        token = Path(folder.name, "token")
        token.write_text(TOKEN)
        token.chmod(0o600)
        config = Path(folder.name, "sockserve.toml")
        config.write_text(CONFIG.replace("TOKEN", str(token)))
        self.server = Server("--config", str(config), listen=3)
        self.addCleanup(self.server.stop)
        self.driver = browser()
        self.open(self.server.addresses[2])

    def open(self, address: str) -> None:
        """The page, as somebody sees it who has just come."""
        self.driver.get(f"http://{address}/")
        self.until(lambda: self.run_script("return document.querySelectorAll('section.socket').length"))

    def run_script(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - what the script returns
        return self.driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for it; the page asks the server each time, and not only after its own period."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline, self.run_script("return document.body.innerText"))
            self.run_script("document.dispatchEvent(new Event('visibilitychange'))")
            time.sleep(0.05)

    def connect(self, number: int = 0) -> socket.socket:
        host, _, port = self.server.addresses[number].rpartition(":")
        client = socket.create_connection((host, int(port)), PATIENCE)
        self.addCleanup(client.close)
        return client

    def text(self, selector: str) -> str:
        return str(self.run_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def tile(self, name: str) -> str:
        script = """
        const tiles = [...document.querySelectorAll("section.socket:first-of-type .tiles div")];
        return tiles.find((tile) => tile.firstChild.innerText === arguments[0])?.lastChild.innerText ?? "";
        """
        return str(self.run_script(script, name))

    def element(self, selector: str) -> Any:  # noqa: ANN401 - one of selenium
        return self.driver.find_element("css selector", selector)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def give(self, token: str) -> None:
        self.element("#token").send_keys(token, "\n")

    def focused(self) -> str:
        return str(self.run_script("return document.activeElement.id || document.activeElement.innerText"))

    def test_numbers_connections_and_endings_follow_what_happens(self) -> None:
        before = int(self.tile("messages received"))
        client = self.connect()
        client.sendall(b"2\r\nab2\r\ncd2\r\nef")
        peer = "{}:{}".format(*client.getsockname())
        self.until(lambda: self.tile("messages received") == str(before + 3))
        self.until(lambda: peer in self.text(".connections tbody"))
        row = self.text(".connections tbody tr")
        for part in (peer, "3, 3", "15 B, 15 B", "a message"):
            self.assertIn(part, row)
        label = "return document.querySelector('figure svg').getAttribute('aria-label')"
        self.until(lambda: "received" in (self.run_script(label) or ""))
        self.assertRegex(
            self.run_script(label), r"Messages a second of orders, lately: .* received, .* sent, at most .*"
        )
        client.shutdown(socket.SHUT_WR)
        self.until(lambda: peer in self.text(".endings tbody") and "peer" in self.text(".endings tbody"))
        self.assertNotIn(peer, self.text(".connections tbody"))

    def test_actions_need_the_token(self) -> None:
        suspend = self.element("[data-ask=suspend]")
        suspend.click()
        self.assertEqual(self.focused(), "token")
        self.assertIn("Enter the token first", self.text("#status"))
        self.give("wrong-token-of-the-tests")
        self.element("[data-ask=suspend]").click()
        self.until(lambda: self.text("#status") == "The token is wrong.")
        self.assertEqual(self.text(".state"), "open")
        self.give(TOKEN)
        self.element("[data-ask=suspend]").click()
        self.until(lambda: self.text(".state") == "suspended")
        self.assertEqual(self.text("#status"), "orders is suspended.")
        client = self.connect()
        client.sendall(b"1\r\na")
        client.settimeout(0.2)
        self.assertRaises(TimeoutError, client.recv, 10)
        self.element("[data-ask=resume]").click()
        self.until(lambda: self.text(".state") == "open")
        client.settimeout(PATIENCE)
        self.assertEqual(client.recv(10), b"1\r\na")

    def test_a_connection_is_closed_after_a_question(self) -> None:
        from selenium.webdriver import Keys

        client = self.connect()
        client.sendall(b"1\r\na")
        client.recv(10)
        peer = "{}:{}".format(*client.getsockname())
        self.give(TOKEN)
        self.until(lambda: peer in self.text(".connections tbody"))
        button = self.element(f"[aria-label='Close {peer}']")
        button.click()
        self.assertEqual(self.text("#question"), f"Close {peer}?")
        # Nothing is done by Escape, or by the button that has the focus at first.
        self.press(Keys.ESCAPE)
        button.send_keys(Keys.ENTER)
        self.press(Keys.ENTER)
        self.assertIn(peer, self.text(".connections tbody"))
        button.click()
        self.element("#yes").click()
        self.assertEqual(client.recv(10), b"")
        client.close()
        self.until(lambda: f"{peer}\tadmin" in self.text(".endings tbody"))

    def test_a_peers_bytes_are_shown_and_nothing_else(self) -> None:
        client = self.connect(1)
        client.sendall(b"2\r\nab" + HOSTILE.encode())
        client.recv(100)
        self.until(lambda: "MalformedHeader" in self.text(".bad-frame"))
        self.assertIn(HOSTILE, self.text("section:nth-of-type(2) h2"))
        script = """
        const dump = document.querySelector(".bad-frame .dump");
        const hex = [...dump.querySelectorAll(".hex span")].filter((byte) => byte.innerText.trim());
        return [
          hex.map((byte) => byte.innerText).join(""),
          hex.flatMap((byte, at) => (byte.classList.contains("border") ? [at] : [])),
          hex.findIndex((byte) => byte.classList.contains("bad")),
          dump.getAttribute("aria-label"),
          document.images.length,
          document.title,
        ];
        """
        hexes, borders, bad, label, images, title = self.run_script(script)
        self.assertEqual(bytes.fromhex(hexes), b"2\r\nab" + HOSTILE.encode())
        self.assertEqual((borders, bad, images, title), ([0, 5], 5, 0, "sockserve"))
        self.assertIn("the bad frame begins at byte 5", label)
        severe = [
            entry for entry in self.driver.get_log("browser") if "Failed to load resource" not in entry["message"]
        ]
        self.assertEqual(severe, [])

    def test_what_has_the_focus_stays_while_the_rest_changes(self) -> None:
        first = self.connect()
        first.sendall(b"1\r\na")
        first.recv(10)
        peer = "{}:{}".format(*first.getsockname())
        self.until(lambda: peer in self.text(".connections tbody"))
        button = self.element(f"[aria-label='Close {peer}']")
        self.run_script("arguments[0].focus()", button)
        others = [self.connect() for _ in range(2)]
        newest = "{}:{}".format(*others[-1].getsockname())
        first.sendall(b"1\r\nb")
        self.until(lambda: newest in self.text(".connections tbody") and "2, 2" in self.text(".connections tbody"))
        self.assertEqual(self.driver.switch_to.active_element, button)
        first.close()
        self.until(lambda: peer in self.text(".endings tbody"))
        self.assertEqual(self.driver.switch_to.active_element, button)
        self.run_script("document.activeElement.blur()")
        self.until(lambda: peer not in self.text(".connections tbody"))

    def test_by_keyboard_and_by_structure(self) -> None:
        from selenium.webdriver import Keys

        self.run_script("document.activeElement.blur()")
        places = []
        for _ in range(6):
            self.press(Keys.TAB)
            places.append(self.focused())
            style = "const s = getComputedStyle(document.activeElement); return s.outlineStyle + s.outlineWidth"
            self.assertEqual(self.run_script(style), "solid3px")
        self.assertEqual(places, ["Skip to the sockets", "token", "Use it", "pause", "orders", HOSTILE])
        self.assertEqual(
            self.run_script("""
                const all = (selector) => document.querySelectorAll(selector).length;
                const once = ["header", "nav[aria-label]", "main", "footer", "[role=status]", "h1"];
                const never = ["th:not([scope])",
                               "svg:not([role=img])", "table:not([aria-label])", "input:not(#token)"];
                return [...once, ...never].map(all);
            """),
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        )

    def test_dark_and_light_and_on_a_phone(self) -> None:
        client = self.connect()
        client.sendall(b"1\r\na<script>alert(1)</script>")
        self.until(lambda: self.text(".bad-frame"))
        papers = set()
        for scheme in ("light", "dark"):
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            papers.add(self.run_script("return getComputedStyle(document.body).backgroundColor"))
            contrast, element = self.run_script(CONTRAST)
            self.assertGreaterEqual(contrast, 4.5, f"{scheme}: {element}")
        self.assertEqual(len(papers), 2)
        metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.addCleanup(self.driver.execute_cdp_cmd, "Emulation.clearDeviceMetricsOverride", {})
        self.connect().sendall(b"x")
        wide = "return [document.documentElement.scrollWidth, innerWidth]"
        self.until(lambda: self.run_script(wide) == [360, 360])
        # The lines of the dump have become shorter.
        self.until(lambda: self.run_script("return document.querySelector('.row .hex').childElementCount") == 8)

    def test_without_a_token_file_it_is_read_only_and_says_so(self) -> None:
        server = Server("--listen", "tcp:0:interface=127.0.0.1", "--admin", "tcp:0:interface=127.0.0.1", listen=2)
        self.addCleanup(server.stop)
        self.open(server.addresses[1])
        self.assertIn("Read-only", self.text("#access"))
        buttons = "return [...document.querySelectorAll('form button, .actions button')]"
        self.assertEqual(self.run_script(f"{buttons}.filter((each) => each.checkVisibility()).length"), 0)
