"""The listeners of a training run: the progress display and, if enabled, TensorBoard."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from warmstart import errors
from warmstart.config import TrainConfig
from warmstart.runs.directory import RunDirectory
from warmstart.runs.events import Event, Listener
from warmstart.runs.only_shown import only_shown
from warmstart.training.monitoring.progress import Bar, progress_listener

STEP_CURVES = ("loss", "learning_rate", "gradient_norm")
"""The fields of a step event that are written to TensorBoard."""


def refuse_missing_tensorboard(config: TrainConfig) -> None:
    """Refuse ``train.tensorboard`` without the package.

    Args:
        config: the training settings.

    Raises:
        ConfigError: the package is not installed.
    """
    if config.tensorboard and find_spec("tensorboard") is None:
        raise errors.command.tensorboard_missing()


@contextmanager
def listening(path: Path, config: TrainConfig, *, progress: bool) -> Iterator[list[Listener]]:
    """The listeners of one run; they are closed at the end of the ``with`` block.

    Args:
        path: the run directory; TensorBoard's files go to ``tensorboard/`` in it.
        config: the training settings.
        progress: whether to show live progress on stderr.

    Raises:
        ConfigError: ``train.tensorboard`` is set and TensorBoard is not installed.
    """
    with ExitStack() as stack:
        listeners: list[Listener] = []
        if config.tensorboard:
            refuse_missing_tensorboard(config)
            board = stack.enter_context(_tensorboard(RunDirectory(path).entry("tensorboard")))
            listeners.append(_until_it_fails(board, "TensorBoard's files"))
        if progress:
            display = progress_listener(Console(stderr=True))
            if isinstance(display, Bar):
                stack.callback(display.close)
            listeners.append(_until_it_fails(display, "the progress display"))
        yield listeners


def _until_it_fails(listener: Listener, what: str) -> Listener:
    """The listener, which is no longer called once it fails: it is only for show."""
    failed = False

    def listen(event: Event) -> None:
        nonlocal failed
        if failed:
            return
        failed = True
        with only_shown(f"further entries of {what}", _notice):
            try:
                listener(event)
            except SystemExit as error:  # rich exits if nobody reads stderr, as after `2>&1 | head`
                raise BrokenPipeError(f"nobody reads {what}") from error
            failed = False

    return listen


def _notice(text: str) -> None:
    with suppress(OSError, SystemExit):  # stderr itself may be closed
        Console(stderr=True, markup=False, emoji=False, highlight=False).print(text)


@contextmanager
def _tensorboard(folder: Path) -> Iterator[Listener]:
    from torch.utils.tensorboard import SummaryWriter

    writer: SummaryWriter | None = None

    def listen(event: Event) -> None:
        nonlocal writer
        if event["event"] == "start":
            if writer is not None:  # a second try: TensorBoard must forget the first one
                writer.close()
                writer = SummaryWriter(folder, purge_step=0)
            return
        if writer is None:  # created late, because the run directory does not exist earlier
            # On resume, TensorBoard must forget the steps after the checkpoint.
            resumed_at = event["step"] + 1 if event["event"] == "resume" else None
            writer = SummaryWriter(folder, purge_step=resumed_at)
        for name, value in _scalars(event).items():
            if value is not None:
                writer.add_scalar(name, value, event["step"], event["time"])

    try:
        yield listen
    finally:
        if writer is not None:
            with only_shown("the last entries of TensorBoard's files", _notice):
                writer.close()


def _scalars(event: Event) -> dict[str, float | None]:
    """The values of an event for TensorBoard, by name of the curve."""
    match event["event"]:
        case "step":
            return {f"train/{name}": event[name] for name in STEP_CURVES}
        case "evaluation":
            scores = {f"validation/{name}": s["value"] for name, s in event["scores"].items()}
            return {"validation/loss": event["loss"], **scores}
        case _:
            return {}
