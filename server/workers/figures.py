"""The figures of a front and its workers as one text for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

FRONT = "front"
"""What stands for the number of a worker in the front's own figures."""


class FrontMetrics:
    """What a front counts by itself."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.refusals = Counter(
            "avatar_refusals", "Requests and messages that were refused, by code", ["code"], registry=self.registry
        )
        self.workers = Gauge("avatar_workers", "Workers that are ready", registry=self.registry)
        self.workers_lost = Counter(
            "avatar_workers_lost", "Workers that ended by themselves and were replaced", registry=self.registry
        )

    def text(self) -> str:
        return generate_latest(self.registry).decode()


def merged(texts: Mapping[str, str]) -> bytes:
    """Prometheus' text format: every sample of every text, with its ``worker`` as a label.

    Args:
        texts: by worker.
    """
    registry = CollectorRegistry()
    registry.register(_Merged(texts))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def describe(self) -> Iterable[Metric]:
        return []  # names may be what they are

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                into = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for one in family.samples:
                    into.add_sample(one.name, {**one.labels, "worker": worker}, one.value)
        yield from families.values()
