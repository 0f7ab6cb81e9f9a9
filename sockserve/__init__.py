"""sockserve: messages over stream sockets, none lost. Import from the modules, from the ground up:

framing     messages to frames and back; pure, no Twisted
address     how addresses are written in logs
clock       a reactor whose time does not jump
nearest     the name that was perhaps meant
network     networks of addresses, and what counts as one peer
units       sizes and times as users write them
threads     where handlers that block run
proxy       the PROXY protocol: a client's address from the proxy in front
info        what is known of a connection
coroutine   coroutines on Twisted's and asyncio's terms
delivery    reads in, messages out: between a decoder and callbacks
ending      how a connection ends
sending     messages out: answers as one write, and a peer that does not read
timeouts    how long a connection may be silent, and a frame may take
memory      one budget for what all connections hold
protocol    one framing on one connection: MessageProtocol, MessageFactory, Echo
channel     the pull side: Channel, conversations
accepting   when ports accept, and what happens when there is no descriptor left
limits      who may connect, how many at once, and how many of one peer
handlers    what answers: functions, echo, discard, relay, forward
certificates  what a TLS server shows and asks for
tls         TLS below the protocols of a server
datagram    UDP endpoints
server      named sockets as Twisted services
client      connect, once or again and again
keys        the settings there are
config      TOML and options to checked values
signals     how the program ends
service     the twistd plugin
commands    the sockserve command
"""

__version__ = "0.1.0"
