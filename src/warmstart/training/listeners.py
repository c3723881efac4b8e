"""Who watches a training: the progress display, and TensorBoard where it is asked for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from warmstart import errors
from warmstart.config import TrainConfig
from warmstart.runs.events import Event, Listener
from warmstart.training.progress import Bar, progress_listener


@contextmanager
def listening(path: Path, config: TrainConfig, *, progress: bool) -> Iterator[list[Listener]]:
    """The listeners of one run; what they hold open is closed at the end of the block.

    Args:
        path: the run directory; TensorBoard's files go to ``tensorboard/`` in it.
        config: says whether TensorBoard is wanted.
        progress: whether to show live progress on stderr.

    Raises:
        ConfigError: TensorBoard is wanted and not installed.
    """
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if config.tensorboard:
            if find_spec("tensorboard") is None:
                raise errors.command.tensorboard_missing()
            listeners.append(stack.enter_context(_tensorboard(path / "tensorboard")))
        if progress:
            display = progress_listener(Console(stderr=True))
            if isinstance(display, Bar):
                stack.callback(display.close)
            listeners.append(display)
        yield listeners


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Listener]:
    from torch.utils.tensorboard import SummaryWriter

    writer: SummaryWriter | None = None

    def listen(event: Event) -> None:
        nonlocal writer
        # Opened at the first event: until then the run directory does not exist.
        writer = writer or SummaryWriter(folder)
        if event["event"] == "step":
            for name in ("loss", "learning_rate", "gradient_norm"):
                if event[name] is not None:
                    writer.add_scalar(f"train/{name}", event[name], event["step"], event["time"])
        elif event["event"] == "evaluation":
            writer.add_scalar("validation/loss", event["loss"], event["step"], event["time"])
            for name, score in event["scores"].items():
                if score["value"] is not None:
                    writer.add_scalar(
                        f"validation/{name}", score["value"], event["step"], event["time"]
                    )

    try:
        yield listen
    finally:
        if writer is not None:
            writer.close()
