"""A reactor for any Twisted program whose connections are uvloop's streams: `twistd --reactor=uvloop`.

loop        the reactor, and `install`
streams     the transports of its connections
"""

from sockserve.reactor.loop import UvloopReactor, install

__all__ = ["UvloopReactor", "install"]
