"""sockserve: messages over stream sockets, none lost. Import from the modules:

framing     messages to frames and back; pure, no Twisted
address     how addresses are written in logs
protocol    one framing on one connection: MessageProtocol, MessageFactory, Echo
server      a named socket as a Twisted service
service     the twistd plugin: options and makeService
"""

__version__ = "0.1.0"
