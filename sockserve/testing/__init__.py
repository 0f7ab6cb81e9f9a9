"""For tests of programs that use sockserve: checks of a framing, connections in memory, servers on a free port.

framings    what bytes mean in a framing, however they are split; whether a framing of your own keeps the contract
pair        two protocols connected in memory, deterministic, without a reactor
local       a server in the reactor of the test
process     a server in a process of its own

The fixtures for pytest, in `sockserve.pytest_plugin`, load this when they are used.
"""

from sockserve.testing.framings import assert_framing, assert_wire, events, splits
from sockserve.testing.local import LocalServer
from sockserve.testing.pair import MemoryTransport, Pair, Recorder
from sockserve.testing.process import ServerProcess

__all__ = [
    "LocalServer",
    "MemoryTransport",
    "Pair",
    "Recorder",
    "ServerProcess",
    "assert_framing",
    "assert_wire",
    "events",
    "splits",
]
