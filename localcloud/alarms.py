"""The template's CloudWatch alarms, which moto does not evaluate.

The rules are those of "Alarm evaluation" and of "Configuring how CloudWatch alarms treat missing
data" in the CloudWatch user guide.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from localcloud.metrics import Metric
from localcloud.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.metrics import Metrics
    from localcloud.section import Section

HOUR: Final = 3600
DAY: Final = 24 * HOUR
ADDITIONAL_PERIODS: Final = 2  # that are looked at where data is missing, as in AWS's examples

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Average": fmean,
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
}
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on one metric. `offset` is what a metric math expression adds to each value."""

    metric: Metric
    statistic: str
    offset: float
    period: int
    periods: int
    comparison: str
    threshold: float
    missing: str  # breaching, notBreaching, ignore or missing
    actions: tuple[str, ...]
    ok_actions: tuple[str, ...]

    def evaluate(self, metrics: Metrics, state: State) -> State:
        """Return the alarm's state, where `state` was the one before."""
        end = metrics.now()
        breaching: list[bool] = []
        for number in range(self.periods + ADDITIONAL_PERIODS):
            start = end - (number + 1) * self.period
            if values := metrics.values(self.metric, start, start + self.period):
                value = STATISTICS[self.statistic](values) + self.offset
                breaching.insert(0, COMPARISONS[self.comparison](value, self.threshold))
        absent = self.periods - len(breaching)
        if absent > 0:
            if self.missing == "ignore" or (self.missing == "missing" and not breaching):
                return state if self.missing == "ignore" else State.INSUFFICIENT_DATA
            if self.missing != "missing":
                breaching += [self.missing == "breaching"] * absent
        return State.ALARM if all(breaching[-self.periods :]) else State.OK


def read_alarm(properties: Section) -> Alarm:
    """Parse an alarm's properties.

    Raises:
        TemplateError: the alarm uses a feature that is not supported, or more time than CloudWatch
            evaluates ("PutMetricAlarm" in the CloudWatch API reference).
    """
    properties.ignore("AlarmDescription", "ActionsEnabled")
    offset = 0.0
    source = properties
    if (queries := properties.take("Metrics")) is not None:
        query, expression = queries
        offset = _offset(expression, query["Id"], properties.where)
        statistics = properties.of("Metrics", query["MetricStat"])
        source = statistics.section("Metric")
        period, statistic = int(statistics.require("Period")), statistics.require("Stat")
        statistics.finish()
    else:
        period, statistic = int(properties.require("Period")), properties.require("Statistic")
    dimensions = source.require("Dimensions")
    alarm = Alarm(
        metric=Metric(
            source.require("Namespace"),
            source.require("MetricName"),
            frozenset((each["Name"], str(each["Value"])) for each in dimensions),
        ),
        statistic=statistic,
        offset=offset,
        period=period,
        periods=int(properties.require("EvaluationPeriods")),
        comparison=properties.require("ComparisonOperator"),
        threshold=float(properties.require("Threshold")),
        missing=properties.take("TreatMissingData", "missing"),
        actions=tuple(properties.take("AlarmActions", ())),
        ok_actions=tuple(properties.take("OKActions", ())),
    )
    source.finish()
    properties.finish()
    longest = 7 * DAY if alarm.period >= HOUR else DAY
    if alarm.period * alarm.periods > longest:
        msg = f"{properties.where} evaluates more than {longest} seconds"
        raise TemplateError(msg)
    return alarm


def _offset(expression: Mapping[str, Any], metric_id: str, where: str) -> float:
    """Return what an expression such as `lag - 2 * 3600` adds to the metric."""
    text = expression["Expression"]
    match = re.fullmatch(rf"{metric_id} - (\d+) \* (\d+)", text)
    if match is None:
        msg = f"the local stack does not support the expression {text!r} of {where}"
        raise TemplateError(msg)
    return -float(match[1]) * float(match[2])
