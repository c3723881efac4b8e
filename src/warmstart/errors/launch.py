"""Error messages about several processes and the launcher that starts them."""

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


def lost_process(reason: str) -> RunError:
    """Another process of the training run ended, or never started."""
    return RunError(
        found=f"another process of this training run cannot be reached: {reason}",
        expected="all processes running until the end",
        do="read the messages of that process; a run that has a checkpoint can be resumed: use the"
        " same launcher with -m warmstart train RUN --resume",
    )
