"""The command line: a thin layer that parses words, calls ``warmstart.api`` and prints.

    exit 0   done                    2    wrong usage (an unknown option, a missing argument)
         1   the person can fix it   70   our bug (a traceback, and where to report it)
                                     130  interrupted; the message says how to go on

The result goes to stdout – with ``--json`` exactly one JSON object – and everything else to stderr.
Modules load what they need inside their commands, so that ``--help`` answers at once.
"""

import io
import sys
import traceback

INTERRUPTED = "Interrupted. A run that had begun goes on with: warmstart train RUN --resume"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Of several processes that a launcher started, the first runs the command; the others read no
    command line, print nothing, and help with what the first one trains.

    Args:
        arguments: the words after ``warmstart``; those of the process by default.
    """
    from warmstart.devices.processes import part

    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr is by default: what the encoding lacks is spelt out and ends no command.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _command(arguments)
    if code == 0:
        part()
    return code


def _command(arguments: list[str] | None) -> int:
    from warmstart.devices.processes import join

    try:
        if not join().first:
            from warmstart.training.worker import follow

            return follow()
        from warmstart.cli.app import app

        app(arguments, prog_name="warmstart")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        # Typer's word for Ctrl-C, about which it says nothing.
        return _say(INTERRUPTED, 130) if code == 130 else code
    except KeyboardInterrupt:
        return _say(INTERRUPTED, 130)
    except Exception as error:
        return _explain(error)
    return 0


def _explain(error: Exception) -> int:
    from warmstart.errors import Interrupted, UsageError, WarmstartError

    if isinstance(error, Interrupted):
        return _say(str(error), 130)
    if isinstance(error, WarmstartError):
        return _say(f"error: {error}", 2 if isinstance(error, UsageError) else 1)
    traceback.print_exc()
    return _say(
        "This is a bug in warmstart, not in what you typed. Please report it with the lines above: "
        "https://github.com/warmstart-ai/warmstart/issues",
        70,
    )


def _say(text: str, code: int) -> int:
    print(text, file=sys.stderr)  # noqa: T201
    return code
