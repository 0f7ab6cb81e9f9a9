"""Collects syslog messages over TCP, and writes each as one line of JSON to standard output.

Run it as: python syslog_collector.py tcp:6514:interface=127.0.0.1
Send to it: logger --tcp --server 127.0.0.1 --port 6514 --octet-count "disk is full"

`syslog` understands both ways in which senders frame their messages: with a count, and one a line.
"""

import json
import re
import sys

from sockserve import Channel, Refused, SocketServer, run

FACILITIES = ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"]
SEVERITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
PRIORITY = re.compile(rb"<(\d{1,3})>")


def collect(message: bytes, channel: Channel) -> None:
    """Write one message down. Whoever sends something else is let go, with a line in the log."""
    found = PRIORITY.match(message)
    if found is None or int(found[1]) > 191:
        raise Refused("it does not begin with a priority from <0> to <191>")
    facility, severity = divmod(int(found[1]), 8)
    record = {
        "from": str(channel.info.peer),
        "facility": FACILITIES[facility] if facility < len(FACILITIES) else facility,
        "severity": SEVERITIES[severity],
        "text": message[found.end() :].decode(errors="replace"),
    }
    print(json.dumps(record), flush=True)


run(SocketServer("syslog", sys.argv[1], "syslog", collect))
