"""A language server that does nothing but answer: for editors, and for learning how such a server speaks.

Run it as: python language_server.py tcp:2087:interface=127.0.0.1

`content-length` is the framing of the Language Server Protocol and the Debug Adapter Protocol: a block of headers, of
which one says how long the JSON after it is. The request "echo" is answered with its own parameters.
"""

import json
import sys
from typing import Any

from sockserve import Channel, SocketServer, run

CAPABILITIES = {"capabilities": {"positionEncoding": "utf-16"}, "serverInfo": {"name": "echo"}}


def reply(request: dict[str, Any]) -> dict[str, Any]:
    """What answers a request: its result, or an error."""
    match request["method"]:
        case "initialize":
            return {"result": CAPABILITIES}
        case "shutdown":
            return {"result": None}
        case "echo":
            return {"result": request.get("params")}
        case unknown:
            return {"error": {"code": -32601, "message": f"unknown method {unknown}"}}


async def serve(channel: Channel) -> None:
    """One editor, from its first message to "exit"."""
    async for message in channel:
        request = json.loads(message)
        if request["method"] == "exit":
            break
        # A notification has no id, and gets no answer.
        if "id" in request:
            answer = {"jsonrpc": "2.0", "id": request["id"], **reply(request)}
            await channel.write(json.dumps(answer).encode())


run(SocketServer("lsp", sys.argv[1], "content-length", conversation=serve))
