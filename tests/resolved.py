"""Settings of a training without ``auto``, for tests of parts that need numbers."""

from typing import Any

from warmstart.config import ResolvedTrainConfig


def resolved(**given: Any) -> ResolvedTrainConfig:
    """The settings given, and numbers for those that are ``auto`` by default."""
    numbers = {"epochs": 3, "batch_size": 32, "learning_rate": 3e-5}
    return ResolvedTrainConfig.model_validate({**numbers, **given})
