"""The figures of named sockets in the format of Prometheus."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

import twisted
from sockserve import __version__
from sockserve.framing import compiled
from sockserve.text import reactor_name

PREFIX = "sockserve_"


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric.

    name: after the prefix, and before the `_total` of a counter; the key of the figure too, unless that is given.
    kind: what Prometheus calls its type. help: one sentence. label: its second label; the first one is `socket`.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    label: str = ""

    @property
    def full_name(self) -> str:
        """As the output has it."""
        return PREFIX + self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


SOCKET_FIGURES = (
    Figure("connections", "gauge", "Connections that are being served."),
    Figure("connections_waiting", "gauge", "Connections that wait for a place (max_connections)."),
    Figure("connections_accepted", "counter", "Connections that were made, with those that were refused."),
    Figure("connect_failures", "counter", "Attempts of the socket to connect that have failed (connect)."),
    Figure("connections_closed", "counter", "Connections that are over, by what has ended them.", "reason"),
    Figure("messages_received", "counter", "Messages, or datagrams, that clients have sent."),
    Figure("messages_ignored", "counter", "Those of the received messages that were not delivered (ignore)."),
    Figure("messages_sent", "counter", "Messages, or datagrams, that were sent to clients."),
    Figure("bytes_received", "counter", "Bytes that clients have sent, with those of the framing, without TLS."),
    Figure("bytes_sent", "counter", "Bytes that were sent to clients, with those of the framing, without TLS."),
    Figure("bad_frames", "counter", "Bad frames that clients have sent, by the kind of error.", "kind"),
    Figure("datagrams_dropped", "counter", "Datagrams, or answers to them, that were dropped.", "reason"),
    Figure("handler_seconds", "histogram", "Time from the call of a function or coroutine to its answer."),
    Figure("pending_answers", "gauge", "Answers that are being waited for."),
    Figure("held_bytes", "gauge", "Bytes held for clients, as memory_budget counts them."),
    Figure("reading_paused", "counter", "How often a client was not read from because it, or an answer, was slow."),
    Figure("draining", "gauge", "1 while the socket is being drained, and after that; else 0."),
    Figure("certificate_expiry_timestamp_seconds", "gauge", "When the first certificate of the socket expires."),
)
"""Those with the label `socket`."""

PROCESS_FIGURES = (
    Figure("memory_budget_bytes", "gauge", "What memory_budget allows for all sockets together."),
    Figure("workers", "gauge", "Processes that serve."),
    Figure("worker_restarts", "counter", "Workers that have ended and were started again."),
    Figure("build", "info", "What runs: versions, the form of the framings, the reactor."),
)
"""Those of the program as a whole."""


class _Answer(Collector):
    """An answer of sockserve.server.figures, for a registry."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self._answer = answer

    def collect(self) -> Iterable[Metric]:
        for figure in SOCKET_FIGURES:
            yield _family(figure, self._answer["sockets"])
        for figure in PROCESS_FIGURES:
            yield _process_family(figure, self._answer["process"])


def exposition(answer: Mapping[str, Any], accept: str = "") -> tuple[bytes, str]:
    """The output for an answer to "figures", and its content type. accept: the header of the request."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Answer(answer))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _family(figure: Figure, sockets: Mapping[str, Any]) -> Metric:
    labels = ["socket", figure.label] if figure.label else ["socket"]
    if figure.kind == "histogram":
        histogram = HistogramMetricFamily(PREFIX + figure.name, figure.help, labels=labels)
        for name, groups in sockets.items():
            counters = groups["counters"]
            buckets = [*_cumulated(counters["handler_calls"])]
            histogram.add_metric([name], buckets, sum_value=counters["handler_seconds"])
        return histogram
    family = (CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily)(
        PREFIX + figure.name, figure.help, labels=labels
    )
    for name, groups in sockets.items():
        value = _value(figure.name, groups)
        if isinstance(value, Mapping):
            for label, count in value.items():
                family.add_metric([name, label], count)
        elif value is not None:
            family.add_metric([name], value)
    return family


def _process_family(figure: Figure, process: Mapping[str, Any]) -> Metric:
    if figure.kind == "info":
        from twisted.internet import reactor

        versions = {
            "version": __version__,
            "framings": "compiled" if compiled else "pure",
            "python": platform.python_version(),
            "twisted": twisted.__version__,
            "reactor": reactor_name(reactor),
        }
        return InfoMetricFamily(PREFIX + figure.name, figure.help, versions)
    value = _value(figure.name, process) or 0
    if figure.kind == "counter":
        return CounterMetricFamily(PREFIX + figure.name, figure.help, value=value)
    return GaugeMetricFamily(PREFIX + figure.name, figure.help, value=value)


def _value(name: str, groups: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a number, or numbers by label
    """The value of a figure; None: there is none, as the gauges of a socket that is gone."""
    if name == "draining" and "state" in groups:
        return int(groups["state"] in ("draining", "drained"))
    for group in ("counters", "gauges", "least"):
        value = groups.get(group, {}).get(name)
        if value is not None:
            return value
    return None


def _cumulated(calls: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """The buckets of a histogram of Prometheus: each has what is in those before it."""
    total = 0
    for bound, count in calls.items():
        total += count
        yield bound, total
