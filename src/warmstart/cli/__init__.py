"""The command line: parses the arguments, calls ``warmstart.api`` and prints the result.

    exit 0   done                     2    wrong usage (an unknown option, a missing argument)
         1   the user can fix it      70   a bug in warmstart (traceback, and where to report it)
                                      130  interrupted; the message shows how to resume

The result goes to stdout (with ``--json`` exactly one JSON object), everything else to stderr.
Heavy imports are inside the commands, so that ``--help`` is fast.
"""

import io
import sys
import traceback
from pathlib import Path

INTERRUPTED = "Interrupted. To resume a run that had started: warmstart train RUN --resume"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    If a launcher started several processes, rank 0 runs the command. The other ranks ignore the
    command line, print nothing, and only take part in the training that rank 0 starts.

    Args:
        arguments: the command-line arguments after ``warmstart``; ``sys.argv[1:]`` by default.
    """
    from warmstart.devices.processes import leave

    if isinstance(sys.stdout, io.TextIOWrapper):
        # As on stderr: a character that the encoding lacks is escaped and does not raise an error.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _command(arguments)
    leave(failed=code != 0)
    return code


def _command(arguments: list[str] | None) -> int:
    from warmstart.devices.processes import join

    try:
        if not join().first:
            from warmstart.training.worker import follow

            return follow()
        from warmstart.cli.app import run

        code = run(arguments)
        # Typer returns 130 after Ctrl-C and prints no message.
        return _print_and_exit_code(INTERRUPTED, 130) if code == 130 else code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:
        return _print_and_exit_code(INTERRUPTED, 130)
    except Exception as error:
        return _report_error(error)


def _report_error(error: Exception) -> int:
    """Print an error to stderr; returns the exit code."""
    from warmstart import errors
    from warmstart.errors import Interrupted, UsageError, WarmstartError

    if not isinstance(error, WarmstartError) and errors.run.is_disk_full(error):
        # In a library that writes files itself.
        name = getattr(error, "filename", None) or "a file"
        error = errors.run.cannot_write(Path(name), error)
    if isinstance(error, Interrupted):
        return _print_and_exit_code(str(error), 130)
    if isinstance(error, WarmstartError):
        return _print_and_exit_code(f"error: {error}", 2 if isinstance(error, UsageError) else 1)
    traceback.print_exc()
    return _print_and_exit_code(
        "This is a bug in warmstart, not a mistake of yours. Please report it with the lines "
        "above: https://github.com/warmstart-ai/warmstart/issues",
        70,
    )


def _print_and_exit_code(text: str, code: int) -> int:
    from warmstart.cli.output import runnable

    print(runnable(text), file=sys.stderr)  # noqa: T201
    return code
