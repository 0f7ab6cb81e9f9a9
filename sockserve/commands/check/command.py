"""`sockserve check`: the hostile peer, against any echo server; a table of what held.

messages, endings, bad_frames, silence    the trials
frames      what is sent in each framing
echo        what may come back, decided by our own decoders
peer        one connection, as rude as a trial wants it
trial       what trials are made of
report      the table, and the same as JSON
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, cast

from sockserve.client.connecting import connect, disconnect
from sockserve.client.endpoints import ACCEPTED, as_endpoint
from sockserve.commands.check import bad_frames, endings, messages, silence
from sockserve.commands.check.frames import sample
from sockserve.commands.check.report import FAILED, NOT_APPLICABLE, OK, Row, Table, as_json, count, summary
from sockserve.commands.check.trial import NoConnection, NotApplicable, Target, Trial
from sockserve.commands.program import add_tls_options, checked, complain, many_messages, react, tls_of
from sockserve.framing import ACCEPTED as FRAMINGS
from sockserve.text import parse_duration, parse_size, reason_of, suggestion

if TYPE_CHECKING:
    from typing import Any

    from twisted.internet.base import ReactorBase

NAME = "sockserve check"

TRIALS = (*messages.TRIALS, *endings.TRIALS, *bad_frames.TRIALS, *silence.TRIALS)

EPILOG = f"""\
framings: {", ".join(FRAMINGS)}

After every hostile trial a good client must be served. What a transport or a framing cannot do is n/a: a reset of a
unix socket, a malformed header where there is none. --list says what each trial does.

Exit status: 0 when nothing FAILED and something was ok. 1 when not. 2 for wrong arguments, or when there is no server.
130 when interrupted.
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """`check` and its arguments."""
    parser = subparsers.add_parser(
        "check",
        help="be a hostile peer to an echo server, and tell what held",
        description="Try an echo server with good messages in every split, half-closes, bad frames, garbage, resets, "
        "stalls and a peer that never reads, and print what was sent, expected and came, with a verdict. Do not point "
        "it at a server that others need.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("endpoint", metavar="ENDPOINT", nargs="?", help=ACCEPTED)
    add("--framing", "-f", metavar="NAME", default="raw", help="the framing that the server has (default: raw)")
    add(
        "--timeout",
        "-t",
        metavar="S",
        type=checked(parse_duration),
        default=5.0,
        help="how long the server may be silent while it owes an answer or the end, and how long a stall lasts, such "
        "as 500ms, 2s or 1min (default: 5s)",
    )
    add(
        "--max-length",
        metavar="BYTES",
        type=checked(parse_size),
        help="the longest message that the server takes; k and M are 1024 and 1024 * 1024 (default: 1M)",
    )
    add(
        "--only",
        metavar="TRIAL",
        action="append",
        type=checked(_trial),
        help="run this trial only; may be given several times",
    )
    add("--seed", metavar="N", type=checked(_seed), default=1, help="of the random bytes (default: 1)")
    add("--json", action="store_true", help="print one JSON object instead of the table")
    add("--verbose", "-v", action="store_true", help="print each connection of a trial, too")
    add("--list", action="store_true", help="print the trials, and do nothing else")
    add_tls_options(parser)
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Do it. Returns the exit status."""
    if arguments.list:
        width = max(len(trial.name) for trial in TRIALS)
        for trial in TRIALS:
            print(f"{trial.name:{width}}  {trial.summary}")
        return 0
    error = cast("argparse.ArgumentParser", arguments.parser).error
    if arguments.endpoint is None:
        error("the following arguments are required: ENDPOINT")
    try:
        framing = many_messages(arguments.framing, arguments.max_length, "a check")
        sample(framing)
    except ValueError as problem:
        error(f"argument --framing: {problem}")
    trials = [trial for trial in TRIALS if not arguments.only or trial in arguments.only]

    async def main(reactor: ReactorBase) -> int:
        try:
            endpoint = as_endpoint(arguments.endpoint, reactor, tls_of(arguments))
        except ValueError as problem:
            complain(NAME, f"argument ENDPOINT: {problem}")
            return 2
        try:
            await disconnect(await connect(endpoint, "raw", timeout=arguments.timeout, reactor=reactor))
        except Exception as problem:  # one line for all that Twisted's endpoints may raise
            complain(NAME, f"{arguments.endpoint}: {reason_of(problem)}")
            return 2
        target = Target(reactor, endpoint, framing, arguments.timeout, arguments.seed)
        return await _run_all(target, arguments, trials)

    return react(main)


async def _run_all(target: Target, arguments: argparse.Namespace, trials: Sequence[Trial]) -> int:
    table = Table(trials)
    settings = {
        "endpoint": arguments.endpoint,
        "framing": str(target.framing),
        "max_length": target.framing.max_length,
        "timeout": target.timeout,
        "seed": target.seed,
    }

    def show(text: str) -> None:
        if not arguments.json:
            print(text, flush=True)

    limits = f"max-length {target.framing.max_length}, timeout {target.timeout:g} s, seed {target.seed}"
    show(f"{arguments.endpoint}, framing {target.framing}, {limits}\n")
    show(table.head())
    rows: list[Row] = []
    async for row in run_trials(target, trials):
        rows.append(row)
        show(table.row(row, details=arguments.verbose))
    not_run = len(trials) - len(rows)
    show("\n" + summary(rows, not_run))
    if arguments.json:
        print(as_json(rows, not_run, **settings))
    return 0 if count(rows, OK) and not count(rows, FAILED) else 1


async def run_trials(target: Target, trials: Sequence[Trial]) -> AsyncIterator[Row]:
    """A row for each trial, up to one in which the server takes no connection any more."""
    for trial in trials:
        row, there = await _run(target, trial)
        yield row
        if not there:
            return


async def _run(target: Target, trial: Trial) -> tuple[Row, bool]:
    """Its row, and whether the server still takes connections."""
    begun = target.reactor.seconds()

    def spent() -> float:
        return target.reactor.seconds() - begun

    try:
        outcome = await trial.run(target)
        problem = outcome.problem
        came = outcome.came
        if trial.hostile and not problem:
            problem = await target.next_client()
            came += f"; next client: {problem}" if problem else ""
    except NotApplicable as reason:
        return Row(trial.name, "", "", str(reason), NOT_APPLICABLE), True
    except NoConnection as reason:
        return Row(trial.name, trial.summary, "a connection", f"no connection: {reason}", FAILED, spent()), False
    row = Row(
        trial.name,
        outcome.sent,
        outcome.expected,
        came,
        FAILED if problem else OK,
        spent(),
        outcome.results,
    )
    return row, True


def _trial(name: str) -> Trial:
    for trial in TRIALS:
        if trial.name == name:
            return trial
    names = [trial.name for trial in TRIALS]
    raise ValueError(f"unknown trial {name!r}{suggestion(name, names)}; accepted: {', '.join(names)}")


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{text!r} is not a seed; accepted: a whole number, 0 or more")
    return int(text)
