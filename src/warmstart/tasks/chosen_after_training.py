"""Capabilities of tasks that choose numbers on the validation rows after training.

As in ``capabilities``, a task has one of them if its class has the members of the protocol.
"""

from typing import Protocol, Self, TypeVar, runtime_checkable

from warmstart.tasks.capabilities import AnyPredictionsT

LabelsIn = TypeVar("LabelsIn", contravariant=True)


@runtime_checkable
class ChoosesTemperature(Protocol[LabelsIn, AnyPredictionsT]):
    """A temperature for probabilities is chosen on the validation rows after training."""

    def with_temperature(self, predictions: AnyPredictionsT, labels: LabelsIn) -> tuple[Self, str]:
        """The task with the best temperature on these rows, and a sentence about it."""
        ...

    def repeated(self, predictions: AnyPredictionsT) -> AnyPredictionsT:
        """The same predictions with this task's temperature."""
        ...


@runtime_checkable
class ChoosesThreshold(Protocol[LabelsIn, AnyPredictionsT]):
    """Thresholds that predictions depend on are chosen on the validation rows after training."""

    def with_threshold(
        self, predictions: AnyPredictionsT, labels: LabelsIn, metric: str
    ) -> tuple[Self, str]:
        """The task with the thresholds of the best ``metric`` on these rows, and a sentence."""
        ...

    def repeated(self, predictions: AnyPredictionsT) -> AnyPredictionsT:
        """The same predictions with this task's thresholds."""
        ...
