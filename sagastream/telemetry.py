"""Measure one service, in a registry of its own. The only module that imports prometheus-client; only measures."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import prometheus_client as prometheus
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from sagastream import series
from sagastream.errors import ReplyError, ServerUnavailable
from sagastream.series import PREFIX, Series

log = structlog.get_logger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATIENCE_S = 3.0
"""How long a probe waits for the server; a caller that probes several services waits a little longer for each."""
_CLASSES = ("2xx", "3xx", "4xx", "5xx")  # status classes of final answers
_REQUEST_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_HANDLER_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number counted elsewhere; ``labels`` holds label values in the order of the series."""

    series: Series
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """One histogram counted elsewhere: observations per upper bound (not cumulated), the last bound infinite."""

    series: Series
    labels: tuple[str, ...]
    counts: tuple[tuple[float, int], ...]
    total: float

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Yield each bound with the number of observations up to it."""
        bounds, counts = zip(*self.counts, strict=True)
        return zip(bounds, accumulate(counts), strict=True)


Source = Callable[[], Awaitable[Sequence[Figure | Spread]]]


class _Times:
    """A histogram of durations that is cheap to add to."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    def add(self, took_s: float) -> None:
        self._counts[bisect_left(self._bounds, took_s)] += 1
        self._total += took_s

    def spread(self, what: Series, *labels: str) -> Spread:
        return Spread(what, labels, tuple(zip(self._bounds, self._counts, strict=True)), self._total)


class Telemetry:
    """The measures of one service.

    Measures taken for every event are plain numbers, turned into text only at a scrape, so that their cost does not
    show in a profile.
    """

    def __init__(self, service: str) -> None:
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations
        self.service = service
        self._registry = prometheus.CollectorRegistry()
        self._sources: list[Source] = []
        self._handled: dict[str, int] = {}
        self._took: dict[str, _Times] = {}
        self._retries = self._counter(series.RETRIES).labels(service)
        self._buried = self._counter(series.DEAD_LETTERS).labels(service)
        self._duplicates = self._counter(series.DUPLICATES).labels(service)
        self._conflicts = self._counter(series.CONFLICTS).labels(service)
        self._trimmed = self._counter(series.TRIMMED).labels(service)
        self._webhooks_sent = self._counter(series.WEBHOOKS_SENT)
        self._webhooks_failed = self._counter(series.WEBHOOKS_FAILED)
        self._requests = self._counter(series.REQUESTS)
        self._by_request: dict[tuple[str, str], list[prometheus.Counter]] = {}
        self._request_seconds = prometheus.Histogram(
            PREFIX + series.REQUEST_SECONDS.name,
            series.REQUEST_SECONDS.help,
            series.REQUEST_SECONDS.labels,
            buckets=_REQUEST_BOUNDS,
            registry=self._registry,
        )
        self._seconds_by_request: dict[tuple[str, str], prometheus.Histogram] = {}

    def expect(self, type_names: Iterable[str], *, timed: bool = False) -> None:
        """Export the series of these event types at zero from the start, so that no rate misses the first event.

        ``timed``: handlers of this service handle them, so their time is exported too.
        """
        for type_name in type_names:
            self._handled.setdefault(type_name, 0)
            if timed:
                self._took.setdefault(type_name, _Times(_HANDLER_BOUNDS))

    def event_handled(self, type_name: str, took_s: float | None = None) -> None:
        """Count an event that was decided and committed; ``took_s`` is the time its handler took, in seconds.

        ``type_name`` must be a type that the service handles, never text from outside.
        """
        self._handled[type_name] = self._handled.get(type_name, 0) + 1
        if took_s is not None:
            times = self._took.get(type_name)
            if times is None:
                times = self._took[type_name] = _Times(_HANDLER_BOUNDS)
            times.add(took_s)

    def retried(self) -> None:
        """Count a retry after a failed attempt."""
        self._retries.inc()

    def buried(self) -> None:
        """Count a message that became a dead letter."""
        self._buried.inc()

    def duplicate(self) -> None:
        """Count a message that the ledger recognised as handled."""
        self._duplicates.inc()

    def conflict(self) -> None:
        """Count a decision that must be taken again."""
        self._conflicts.inc()

    def trimmed(self, entries: int) -> None:
        """Count lost entries: those trimmed after they were read and before they were settled."""
        self._trimmed.inc(entries)

    def expect_webhooks(self, types: Iterable[str]) -> None:
        """Export the series of these webhook types at zero from the start, so that no rate misses the first failure."""
        for type in types:
            self._webhooks_sent.labels(self.service, type)
            self._webhooks_failed.labels(self.service, type)

    def webhook_sent(self, type: str) -> None:
        """Count a webhook that its receiver confirmed; ``type`` must be from a closed set."""
        self._webhooks_sent.labels(self.service, type).inc()

    def webhook_failed(self, type: str) -> None:
        """Count an attempt to send a webhook that its receiver did not confirm."""
        self._webhooks_failed.labels(self.service, type).inc()

    def expect_request(self, method: str, route: str) -> None:
        """Export the series of this request at zero from the start, so that no rate misses the first failure."""
        children = [self._requests.labels(self.service, method, route, one) for one in _CLASSES]
        self._by_request[method, route] = children
        self._seconds_by_request[method, route] = self._request_seconds.labels(self.service, method, route)

    def answered(self, method: str, route: str, status: int, took_s: float | None) -> None:
        """Count a request that was answered, and its time unless ``took_s`` is None.

        ``method`` and ``route`` must be from a closed set, never text from outside.
        """
        if (method, route) not in self._by_request:
            self.expect_request(method, route)
        self._by_request[method, route][status // 100 - 2].inc()
        if took_s is not None:
            self._seconds_by_request[method, route].observe(took_s)

    def add_source(self, source: Source) -> None:
        """Export the figures that ``source`` reads elsewhere (such as those counted in Redis) at every scrape."""
        self._sources.append(source)

    def render(self) -> bytes:
        """Return the figures of this process as Prometheus text."""
        own: list[Figure | Spread] = [
            Figure(series.EVENTS, (type_name, self.service), many) for type_name, many in self._handled.items()
        ]
        own += [times.spread(series.HANDLER_SECONDS, self.service, name) for name, times in self._took.items()]
        return prometheus.generate_latest(self._registry) + expose(own)

    async def scrape(self) -> bytes:
        """Return the figures of this process and of its sources, within ``PATIENCE_S``.

        A source that cannot read is left out: no figure is better than an old one, and the others' are still true.
        """
        read = await asyncio.gather(*(self._read(source) for source in self._sources))
        return self.render() + expose(chain.from_iterable(read))

    async def _read(self, source: Source) -> Sequence[Figure | Spread]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await source()
        except (ServerUnavailable, TimeoutError):
            return ()
        except ReplyError as error:
            log.error("metrics.refused", service=self.service, error=str(error))
            return ()

    def _counter(self, what: Series) -> prometheus.Counter:
        return prometheus.Counter(PREFIX + what.name, what.help, what.labels, registry=self._registry)


def expose(figures: Iterable[Figure | Spread]) -> bytes:
    """Return figures as Prometheus text, one family per series."""
    families: dict[Series, Metric] = {}
    for figure in figures:
        family = families.get(figure.series) or _family(figure.series)
        families[figure.series] = family
        if isinstance(family, HistogramMetricFamily) and isinstance(figure, Spread):
            family.add_metric(list(figure.labels), _buckets(figure), figure.total)
        elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and isinstance(figure, Figure):
            family.add_metric(list(figure.labels), figure.value)
        else:
            raise TypeError(f"{type(figure).__name__} cannot be exported as {figure.series.name}")
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Given(list(families.values())))
    return prometheus.generate_latest(registry)


class _Given:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(what: Series) -> Metric:
    name, labels = PREFIX + what.name, list(what.labels)
    match what.kind:
        case "counter":
            return CounterMetricFamily(name, what.help, labels=labels)
        case "gauge":
            return GaugeMetricFamily(name, what.help, labels=labels)
        case "histogram":
            return HistogramMetricFamily(name, what.help, labels=labels)


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    return [("+Inf" if math.isinf(bound) else str(float(bound)), count) for bound, count in spread.cumulated()]
