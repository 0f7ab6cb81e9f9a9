from twisted.application.reactors import Reactor

uvloop = Reactor("uvloop", "sockserve.reactor", "uvloop's loop, with TCP and unix connections as its streams.")
