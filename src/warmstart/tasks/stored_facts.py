"""Read the facts of a task from ``task.json``, which may have been edited or damaged.

Letters: C labels.
"""

import math
from collections.abc import Mapping
from typing import Any


def names_in(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The label names, in the order of the logits, C.

    Args:
        facts: the facts of a task whose outputs have names.

    Raises:
        KeyError: there are no label names.
        ValueError: they are not a list of different texts.
    """
    names = facts["label_names"]
    texts = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    if not texts or len(set(names)) < len(names):
        raise ValueError("label_names is not a list of different texts")
    return tuple(names)


def numbers_in(facts: Mapping[str, Any], name: str, labels: int) -> tuple[float, ...]:
    """A number for each label, such as a weight; empty if the task has none.

    Args:
        facts: the facts of a task.
        name: name of the fact.
        labels: number of labels, C.

    Raises:
        ValueError: the fact is not a list of C finite numbers.
    """
    numbers = facts.get(name, ())
    if not isinstance(numbers, list | tuple) or len(numbers) not in (0, labels):
        raise ValueError(f"{name} is not a list of {labels} numbers, one for each label")
    return tuple(number_in({name: number}, name) for number in numbers)


def temperature_in(facts: Mapping[str, Any]) -> float | None:
    """The temperature of a calibrated model; None if the task has none.

    Args:
        facts: the facts of a task.

    Raises:
        ValueError: it is not a finite number above 0.
    """
    if "temperature" not in facts:
        return None
    temperature = number_in(facts, "temperature")
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature!r} and not above 0")
    return temperature


def number_in(facts: Mapping[str, Any], name: str) -> float:
    """A finite number.

    Args:
        facts: the facts of a task.
        name: name of the fact.

    Raises:
        KeyError: the fact is missing.
        ValueError: it is not a finite number.
    """
    number = facts[name]
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(f"{name} is {number!r} and not a finite number")
    return float(number)
