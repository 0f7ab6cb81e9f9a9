"""A gateway for Modbus TCP: any number of clients, one connection to a device that takes no more than one.

Run it as: python modbus_gateway.py tcp:1502:interface=127.0.0.1 tcp:plc-3:502
The same without a program:
twistd -n sockserve --listen tcp:1502 --framing mbap --handler share:tcp:plc-3:502

Each request goes to the device when the one before it is answered, and each answer to its asker. `mbap` is the framing
of Modbus TCP: its message is the whole frame, with the header that has the transaction's number.
"""

import sys

from sockserve import SocketServer, run

run(SocketServer("plc", sys.argv[1], "mbap", f"share:{sys.argv[2]}", answer_timeout=2.0))
