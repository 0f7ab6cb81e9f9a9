from twisted.application.reactors import Reactor

uvloop = Reactor(
    "uvloop", "sockserve.reactor", "uvloop based reactor; TCP and unix connections are streams of its loop."
)
