"""What the named sockets of a process do, in figures for monitoring and for people; and what may be done with them.

`answer` answers a request about this process: values that JSON can carry go in and come out, so that one process can
ask another. `merge` makes one answer of those of several processes; `remains` is what still counts of one that ended.

Requests:

    {"ask": "figures"}                                          counts and gauges of each socket
    {"ask": "view", "most": 200}                                the same, and what a person wants to see
    {"ask": "suspend" | "resume" | "drain", "socket": NAME}     see SocketServer
    {"ask": "close", "socket": NAME, "id": N, "worker": W}      close a connection; worker: as the view has it

The answer to the first two:

    {"process": GROUPS, "sockets": {NAME: {"state": State, **GROUPS, **VIEW}}}
    GROUPS: {"counters": ..., "gauges": ..., "least": ...}
    VIEW: {"about": ..., "connections": [...], "endings": [...], "bad_frames": [...]}

Counters never go down; they and the gauges are added up over processes, and of what is in "least" the smallest counts.
A counter with labels is a dict by label. The answer to the others is {"done": TEXT} or {"error": TEXT}, one line each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, get_args

from sockserve.addresses import format_address
from sockserve.connection.state import Wire
from sockserve.framing.errors import FramingError
from sockserve.handlers.durations import BOUNDS
from sockserve.handlers.function import Answering
from sockserve.handlers.share import Asker
from sockserve.limits import turns
from sockserve.limits.memory import budget_of
from sockserve.server import description
from sockserve.server.server import Server
from sockserve.server.sockets import SocketServer, State
from sockserve.tls.foreign import agreed

if TYPE_CHECKING:
    from sockserve.connection.engine import Engine
    from sockserve.framing import Framing
    from sockserve.limits.events import BadFrame
    from sockserve.limits.totals import Ending

Figures = dict[str, Any]
"""Values that JSON can carry."""

MOST = 200
"""How many connections of each socket a view shows, unless it asks for another number."""

_STATES: tuple[State, ...] = get_args(State)
# How many of the last endings and bad frames a merged view shows.
_RECENT = 50


def answer(server: Server, request: Mapping[str, Any], worker: int = 0) -> Figures:
    """The answer of this process to a request; see the module. worker: the number of this process among its workers."""
    match request:
        case {"ask": "figures"}:
            return _of_all(server, figures)
        case {"ask": "view"}:
            most = request.get("most", MOST)
            return _of_all(server, lambda socket: view(socket, most if isinstance(most, int) else MOST, worker))
        case {"socket": str(name)} if name not in server.sockets:
            return {"error": f"there is no socket {name!r}"}
        case {"ask": "suspend" | "resume" | "drain" as what, "socket": str(name)}:
            return _change(server.sockets[name], what)
        case {"ask": "close", "socket": str(name)}:
            return _close(server.sockets[name], request.get("id") if request.get("worker", worker) == worker else None)
    return {"error": "unknown request"}


def _of_all(server: Server, look: Callable[[SocketServer], Figures]) -> Figures:
    memory = {socket.memory for socket in server.sockets.values()} or {budget_of()}
    gauges = {"memory_budget_bytes": sum(budget.limit for budget in memory), "workers": 1}
    now = {
        "process": {"counters": {"worker_restarts": 0}, "gauges": gauges},
        "sockets": {name: look(socket) for name, socket in server.sockets.items()},
    }
    return merge([now, *(_of_before(socket, look) for socket in server.before)])


def _of_before(socket: SocketServer, look: Callable[[SocketServer], Figures]) -> Figures:
    """What counts of one that another has replaced."""
    found = {"process": {"counters": {}}, "sockets": {socket.settings.name: look(socket)}}
    return found if socket.running else remains(found)


def figures(socket: SocketServer) -> Figures:
    """The counts and gauges of one socket."""
    admission, datagrams, durations = socket.admission, socket.datagrams, socket.durations
    totals = admission.totals
    connections = [*admission.running.values(), *admission.waiting]
    moved = totals.traffic(connections)
    pending = sum(map(_pending, connections))
    counters = {
        "connections_accepted": totals.accepted,
        "connections_closed": dict(totals.closed),
        "messages_received": moved.messages_received + sum(each.received for each in datagrams),
        "messages_sent": moved.messages_sent + sum(each.sent for each in datagrams),
        "bytes_received": moved.bytes_received + sum(each.bytes_received for each in datagrams),
        "bytes_sent": moved.bytes_sent + sum(each.bytes_sent for each in datagrams),
        "bad_frames": dict(socket.events.bad_frames),
        "messages_ignored": moved.messages_ignored,
        "connect_failures": 0 if socket.dialler is None else socket.dialler.failures,
        "datagrams_dropped": _added(each.dropped for each in datagrams),
        "reading_paused": moved.pauses,
        "handler_calls": dict(zip([*map(str, BOUNDS), "+Inf"], durations.counts, strict=True)),
        "handler_seconds": durations.sum,
    }
    gauges = {
        "connections": len(admission.running),
        "connections_waiting": len(admission.waiting),
        "pending_answers": pending + sum(each.pending for each in datagrams),
        "held_bytes": socket.held,
    }
    expires = socket.expires
    least = {} if expires is None else {"certificate_expiry_timestamp_seconds": expires}
    return {"state": socket.state, "counters": counters, "gauges": gauges, "least": least}


def view(socket: SocketServer, most: int = MOST, worker: int = 0) -> Figures:
    """The same, with what the socket is, its newest connections, the last endings, and the last bad frames."""
    admission = socket.admission
    newest = chain(reversed(admission.waiting), reversed(admission.running.values()))
    return {
        **figures(socket),
        "about": _about(socket),
        "connections": [{**_connection(each), "worker": worker} for each in islice(newest, most)],
        "endings": [{**_ending(each), "worker": worker} for each in reversed(admission.totals.recent)],
        "bad_frames": [{**_bad_frame(each), "worker": worker} for each in reversed(socket.events.last_bad_frames)],
    }


def _about(socket: SocketServer) -> Figures:
    settings = socket.settings
    return {
        "listens": settings.connect is None,
        "endpoints": description.endpoints(settings),
        "addresses": [format_address(port.getHost()) for port in socket.ports],
        "framing": str(settings.framing),
        "answers": description.answers(settings),
        "settings": description.values(settings),
        "defaults": description.values(settings, given=False),
    }


def _connection(connection: Engine) -> Figures:
    moved = connection.traffic
    tls = agreed(connection.transport)
    return {
        "id": connection.id,
        "peer": format_address(connection.address),
        "since": connection.since,
        "messages_received": moved.messages_received,
        "messages_sent": moved.messages_sent,
        "bytes_received": moved.bytes_received,
        "bytes_sent": moved.bytes_sent,
        "queued": connection.sending.queued,
        "tls": "" if tls is None else tls.version,
        "waits_for": waits_for(connection),
    }


def _pending(connection: Engine) -> int:
    """How many answers are under way."""
    receiver = connection.receiver
    return receiver.pending if isinstance(receiver, Answering | Asker) else 0


def waits_for(connection: Engine) -> str:
    """What has to come next for this connection, in words."""
    state, holds = connection.state, connection.reading.holds
    pending = _pending(connection)
    if not connection.started:
        return "a place (max_connections)"
    if state.closing:
        return "its peer, to read the rest" if connection.sending.queued else "its peer, to close"
    if connection.sending.blocked:
        return "its peer, to read"
    if "memory_budget" in holds:
        return "memory (memory_budget)"
    if pending:
        return f"{pending} answers" if pending > 1 else "an answer"
    if "other side" in holds or "target" in holds:
        return "the other side"
    if turns.REASON in holds:
        return "its turn"
    if connection.receiving.partial and not holds:
        return "the rest of a frame"
    if holds:
        return "the program, to read"
    return "a message" if state.wire is Wire.OPEN else "the program, to close"


def _ending(ending: Ending) -> Figures:
    return {
        "at": ending.at,
        "seconds": ending.at - ending.since,
        "id": ending.id,
        "peer": format_address(ending.address),
        "reason": ending.reason,
        "messages_received": ending.traffic.messages_received,
        "messages_sent": ending.traffic.messages_sent,
    }


def _bad_frame(bad: BadFrame) -> Figures:
    """Its bytes as hex. borders: where frames begin in them; the last one is that of the bad frame. hint: what it may
    be instead."""
    from sockserve.inspection.hints import hint

    framing = bad.framing
    starts = _starts(framing, bad.before)
    return {
        "at": bad.at,
        "id": bad.id,
        "peer": format_address(bad.address),
        "kind": bad.kind,
        "text": bad.text,
        "framing": str(framing),
        "bytes": (bad.before + bad.frame).hex(),
        "borders": [*starts, len(bad.before)],
        "hint": hint(bad.frame, str(framing), bad.kind),
    }


def _starts(framing: Framing, frames: bytes) -> list[int]:
    """Where frames begin in bytes that end with one, as far as that is known: not in the middle of a longer one."""
    starts, decoder = [0], framing.decoder()
    try:
        starts += [at + 1 for at in range(len(frames)) if decoder.decode(frames[at : at + 1])]
    except FramingError:
        return []
    # Whole frames end at the end.
    return starts[:-1] if starts[-1] == len(frames) else []


def _change(socket: SocketServer, what: str) -> Figures:
    act, states, done = _CHANGES[what]
    if socket.state not in states:
        return {"error": f"{socket.settings.name!r} is {socket.state}; accepted: {' or '.join(states)}"}
    act(socket)
    return {"done": f"{socket.name} {done}"}


_CHANGES: dict[str, tuple[Callable[[SocketServer], object], Sequence[State], str]] = {
    "suspend": (SocketServer.suspend, ["open"], "is suspended"),
    "resume": (SocketServer.resume, ["suspended", "drained"], "accepts connections again"),
    "drain": (SocketServer.drain, ["open", "suspended"], "is draining"),
}
"""What may be done with a socket, in which states, and the words for it."""


def _close(socket: SocketServer, number: object) -> Figures:
    connection = socket.admission.running.get(number) if isinstance(number, int) else None
    if connection is None:
        return {"error": f"{socket.name!r} has no connection {number!r}"}
    connection.telling.tell("admin", "closed by an operator (admin)")
    connection.receiver.loseConnection()
    return {"done": f"connection {number} of {socket.name} is closing"}


def merge(answers: Sequence[Figures]) -> Figures:
    """One answer made of those of several processes to the same request.

    An action has worked where it has worked in one of them. Of no answers, an error.
    """
    if not answers:
        return {"error": "no process has answered"}
    looks = [each for each in answers if "sockets" in each]
    if not looks:
        return next((each for each in answers if "done" in each), answers[0])
    names = dict.fromkeys(chain.from_iterable(each["sockets"] for each in looks))
    return {
        "process": _merged([each.get("process", {}) for each in looks]),
        "sockets": {
            name: _merged([each["sockets"][name] for each in looks if name in each["sockets"]]) for name in names
        },
    }


def remains(answer: Figures) -> Figures:
    """What still counts of a process that has ended: the counters of its last answer, for later answers to `merge`."""
    return {
        "process": {"counters": answer["process"]["counters"]},
        "sockets": {name: {"counters": each["counters"]} for name, each in answer["sockets"].items()},
    }


def _merged(parts: Sequence[Figures]) -> Figures:
    """The figures of a socket, or of the process, of several processes."""
    merged: Figures = {}
    for part in parts:
        for key, value in part.items():
            if key not in merged:
                merged[key] = value
            elif key in ("counters", "gauges"):
                merged[key] = _added([merged[key], value])
            elif key == "least":
                merged[key] = {**merged[key], **value, **_least(merged[key], value)}
            elif key == "state":
                merged[key] = min(merged[key], value, key=_STATES.index)
            elif isinstance(value, list):
                merged[key] = [*merged[key], *value]
    for key, when in (("endings", "at"), ("bad_frames", "at")):
        if key in merged:
            merged[key] = sorted(merged[key], key=lambda each: each[when], reverse=True)[:_RECENT]
    if "connections" in merged:
        merged["connections"] = sorted(merged["connections"], key=lambda each: each["since"], reverse=True)
    return merged


def _added(parts: Iterable[Mapping[str, Any]]) -> Figures:
    """The sum of numbers by name, and of dicts of such."""
    sums: Figures = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, Mapping):
                sums[name] = _added([sums.get(name, {}), value])
            else:
                sums[name] = sums.get(name, 0) + value
    return sums


def _least(one: Figures, other: Figures) -> Figures:
    return {name: min(one[name], other[name]) for name in one if name in other}
