"""Error messages about several processes and the launcher that starts them."""

import os
from collections.abc import Mapping, Sequence

from warmstart.errors.base import RunError


def processes_differ(process: int, what: Sequence[str]) -> RunError:
    """The data, settings or versions of a rank differ from those of rank 0."""
    return RunError(
        found=f"rank {process} differs from rank 0 in: {', '.join(what)}",
        expected="the same files and versions in all processes of a training run",
        do="on several machines, keep the files on a shared disk under the same path, and install"
        " the same versions",
    )


def unusable_launcher(given: Mapping[str, str]) -> RunError:
    """Environment variables of a launcher are wrong or incomplete."""
    return RunError(
        found=f"the environment has {' '.join(f'{name}={text}' for name, text in given.items())}",
        expected="RANK from 0, WORLD_SIZE above RANK, and LOCAL_RANK from 0, as torchrun and "
        "accelerate launch set them; or none of them",
        do=f"unset {' '.join(given)}; to train with several processes: torchrun "
        "--nproc-per-node 2 -m warmstart train CONFIG",
    )


def unusable_by_accelerate(given: Sequence[str], error: Exception) -> RunError:
    """Accelerate cannot start with the environment variables ``given``."""
    names = " ".join(given)
    return RunError(
        found=f"Accelerate cannot start with the environment variables {', '.join(given)}: {error}",
        expected="the variables as `torchrun` or `accelerate launch` sets them, or none of them",
        do=f"unset {names}; the settings of warmstart replace them (warmstart train --help)",
    )


def not_joined(count: int, minutes: float, reason: str) -> RunError:
    """The processes did not find each other at the start."""
    given = {name: os.environ.get(name, "") for name in ("RANK", "MASTER_ADDR", "MASTER_PORT")}
    shown = " ".join(f"{name}={text}" for name, text in given.items() if text)
    return RunError(
        found=f"the {count} processes of this training run did not find each other ({shown}): "
        f"{reason}",
        expected=f"all {count} processes started within {minutes:g} minutes, and MASTER_ADDR and "
        "MASTER_PORT of rank 0 reachable from every machine",
        do="check the messages of the other processes, the address, and the firewall between the "
        f"machines; on one machine: torchrun --nproc-per-node {count} -m warmstart train CONFIG",
    )


def lost_process(reason: str) -> RunError:
    """Another process of the training run ended."""
    return RunError(
        found=f"another process of this training run cannot be reached: {reason}",
        expected="all processes running until the end",
        do="read the messages of that process; a run that has a checkpoint can be resumed: use the"
        " same launcher with -m warmstart train RUN --resume",
    )
