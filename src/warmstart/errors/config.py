"""Texts of the errors about settings: unknown, malformed, contradictory.

``where`` is the place a setting was written, as the message begins with it: ``cola.yaml:12``,
``--set train.epochs=0``, ``--validation 2``, or empty for a config made in Python.
"""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError

LIST_SETTINGS = "`warmstart recipes cola` prints a config to start from"


def located(error: ConfigError, where: str) -> ConfigError:
    """``error`` with the place it was written at in front."""
    return ConfigError(f"{where}: {error.found}", error.expected, error.do) if where else error


def all_of(faults: Sequence[ConfigError], source: str) -> ConfigError:
    """One error for all faults of the config called ``source``; a single fault stays as it is."""
    if len(faults) == 1:
        return faults[0]
    blocks = "\n".join(str(fault) for fault in faults)
    return ConfigError(
        found=f"{source} has {len(faults)} faults\n  " + blocks.replace("\n", "\n  "),
        expected="only known settings, each within its limits",
        do=f"correct all {len(faults)}, each as said above",
    )


def unknown_setting(name: str, nearest: str | None, do: str) -> ConfigError:
    """A setting that no part of the config has; ``nearest`` is the known one most like it."""
    return ConfigError(
        found=f"{name} is not a setting",
        expected=f"a known setting, such as {nearest}" if nearest else "a known setting",
        do=do if nearest else f"take it out; {LIST_SETTINGS}",
    )


def missing_setting(name: str, meaning: str, do: str) -> ConfigError:
    """A setting without a default that was not given."""
    return ConfigError(f"{name} is missing", meaning.replace("``", "`"), do)


def wrong_value(name: str, value: str, expected: str, do: str) -> ConfigError:
    """A value of the wrong type or outside the limits; ``value`` is written as in YAML."""
    return ConfigError(f"{name} is {value}", expected, do)


def not_a_group(name: str, value: str, member: str) -> ConfigError:
    """A single value where a group of settings stands; ``member`` is one of them."""
    return ConfigError(
        found=f"{name} is {value}",
        expected=f"{name} is a group of settings, not a setting",
        do=f"name one of the group, such as {name}.{member}",
    )


def not_a_config(path: str, value: str) -> ConfigError:
    """A file that holds no settings: a list, a number, a table in CSV."""
    return ConfigError(
        found=f"{path} holds {value}, no settings",
        expected="YAML with lines such as `task: text-classification`",
        do="to train on a table, type: warmstart train --train FILE --text COLUMN --label COLUMN",
    )


def bad_yaml(path: str, line: int, column: int, problem: str) -> ConfigError:
    """Text that is not YAML, from line and column 1."""
    return ConfigError(
        found=f"{path}:{line}:{column}: {problem}",
        expected="YAML: `name: value` lines, indented alike with spaces within a group",
        do=f"mend line {line}; put a value that holds `: ` or ` #` in quotes",
    )


def yaml_feature(path: str, line: int, feature: str) -> ConfigError:
    """YAML that a config has no use for: aliases, tags, several documents, deep nesting."""
    return ConfigError(
        found=f"{path}:{line}: {feature}",
        expected="one document of plain names, values and lists",
        do=f"write the value out in line {line}",
    )


def duplicate_key(path: str, line: int, name: str, first_line: int) -> ConfigError:
    """A setting that one file gives twice."""
    return ConfigError(
        found=f"{path}:{line}: {name} was given before, in line {first_line}",
        expected="every setting once",
        do=f"delete line {first_line} or line {line}",
    )


def not_text(path: str, line: int) -> ConfigError:
    """A config file with bytes that are not UTF-8."""
    return ConfigError(
        found=f"{path}:{line}: bytes that are not UTF-8",
        expected="a config in UTF-8",
        do="save the file as UTF-8",
    )


def bad_override(text: str) -> ConfigError:
    """A ``--set`` without ``=``."""
    return ConfigError(
        found=f"--set {text}",
        expected="SETTING=VALUE",
        do=f"--set {text or 'train.epochs'}=VALUE",
    )


def config_not_found(path: str, recipes: Collection[str]) -> ConfigError:
    """A path with no file; ``recipes`` are offered where one of them may have been meant."""
    nearest = get_close_matches(path.removesuffix(".yaml").removesuffix(".yml"), recipes, n=1)
    return ConfigError(
        found=f"{path} does not exist",
        expected="a YAML file, or the bare name of a recipe",
        do=f"{nearest[0]} (the recipe)" if nearest else f"a recipe: {', '.join(recipes)}",
    )


def config_is_a_folder(path: str) -> ConfigError:
    """A folder where a YAML file was to be named."""
    return ConfigError(
        found=f"{path} is a folder",
        expected="a YAML file, or the bare name of a recipe",
        do=f"{path}/config.yaml repeats the run of a run directory",
    )


def config_unreadable(path: str, why: str) -> ConfigError:
    """A file that the operating system does not let us read."""
    return ConfigError(f"{path}: {why}", "a file that can be read", "check its permissions")


def unknown_recipe(name: str, known: Collection[str]) -> ConfigError:
    """A bare name that no recipe has."""
    nearest = get_close_matches(name, known, n=1)
    return ConfigError(
        found=f"there is no recipe {name}",
        expected=f"one of: {', '.join(known)}",
        do=nearest[0] if nearest else f"./{name} if it is a file; `warmstart recipes` lists them",
    )


def unknown_metric(name: str, known: Sequence[str]) -> ConfigError:
    """A ``best_metric`` that the task does not report; ``known`` has its main metric first."""
    nearest = get_close_matches(name, known, n=1) or known[:1]
    return ConfigError(
        found=f"train.best_metric is {name}",
        expected=f"one of: {', '.join(known)}",
        do=f"--set train.best_metric={nearest[0]}",
    )


def heads_do_not_divide(hidden: int, heads: int) -> ConfigError:
    """A width that cannot be shared out evenly among attention heads."""
    fewer = max(n for n in range(1, heads + 1) if hidden % n == 0)
    wider = -(-hidden // heads) * heads
    return ConfigError(
        found=f"pretrain.hidden is {hidden} and pretrain.heads is {heads}",
        expected="a width that is a multiple of the number of heads",
        do=f"--set pretrain.heads={fewer}, or --set pretrain.hidden={wider}",
    )


def architecture_for_task(architecture: str, task: str, fitting: str) -> ConfigError:
    """A new model that cannot have the task's head."""
    return ConfigError(
        found=f"pretrain.architecture is {architecture}, and the task is {task}",
        expected=f"{fitting} for this task: decoders (gpt2) generate text, encoders (bert) read it",
        do=f"--set pretrain.architecture={fitting}",
    )


def vocabulary_too_small(asked: int, least: int) -> ConfigError:
    """A byte-level vocabulary without room for every byte."""
    return ConfigError(
        found=f"pretrain.vocabulary is {asked}",
        expected=f"{least} or more: 256 bytes and the end of a text, before any word",
        do="--set pretrain.vocabulary=8192",
    )


def vocabulary_too_large(asked: int, found: int) -> ConfigError:
    """More tokens than the training rows give: what occurs once is not worth a token."""
    return ConfigError(
        found=f"pretrain.vocabulary is {asked}, and the training rows give {found} tokens",
        expected="pieces of words that occur at least twice",
        do=f"--set pretrain.vocabulary={found}, or train on more text",
    )


def pretrain_with_train() -> ConfigError:
    """A config with a ``pretrain`` part where a pretrained checkpoint is trained."""
    return ConfigError(
        found="the config has a part `pretrain`, and `warmstart train` starts from model.name",
        expected="`warmstart pretrain` for a new model, or a config without that part",
        do="warmstart pretrain CONFIG; or, to train model.name, take the part out",
    )


def nothing_to_pretrain() -> ConfigError:
    """``warmstart pretrain`` with a config that describes no new model."""
    return ConfigError(
        found="the config has no part `pretrain`, which says what model to make",
        expected="its architecture and size, or one of them",
        do="--set pretrain.size=mini; or, to start from model.name: warmstart train CONFIG",
    )


def model_and_pretrain(name: str) -> ConfigError:
    """A checkpoint to start from, and a new model to make."""
    return ConfigError(
        found=f"model.name is {name}, and the part `pretrain` describes a new model",
        expected="one of the two: `warmstart pretrain` begins with weights drawn by chance",
        do="take model.name out; or, to go on from that checkpoint, take `pretrain` out and type: "
        "warmstart train CONFIG",
    )


def unknown_part(freeze: str) -> ConfigError:
    """A ``train.freeze`` that names no part of a model."""
    return ConfigError(
        found=f"train.freeze is {freeze}",
        expected="backbone (only the head trains), or embeddings+layers:k (the first k layers)",
        do="--set train.freeze=backbone",
    )


def warmup_too_long(warmup_steps: int, total_steps: int) -> ConfigError:
    """A warm-up that would outlast the run, both in steps."""
    return ConfigError(
        found=f"a warm-up of {warmup_steps} steps in a run of {total_steps}",
        expected="a warm-up shorter than the run",
        do="--set train.warmup_steps=0, or raise train.epochs",
    )


def precision_unsupported(precision: str, device: str, why: str) -> ConfigError:
    """Arithmetic that the device at hand does not do; ``why`` says what it lacks."""
    return ConfigError(
        found=f"train.precision is {precision} on {device}: {why}",
        expected=f"a precision that {device} has",
        do="--set train.precision=auto",
    )


def several_processes(processes: int) -> ConfigError:
    """A launcher started several processes of a program that does not know how to join them."""
    return ConfigError(
        found=f"{processes} processes were started, and each would do all the work by itself",
        expected="the command `warmstart`, which shares the work of a training out",
        do=f"torchrun --nproc-per-node {processes} -m warmstart train CONFIG",
    )


def two_warmups(warmup_steps: int, warmup_share: float) -> ConfigError:
    """A warm-up given both in steps and as a share of the run."""
    return ConfigError(
        found=f"train.warmup_share is {warmup_share} and train.warmup_steps is {warmup_steps}",
        expected="one of the two",
        do="--set train.warmup_steps=null or --set train.warmup_share=null",
    )


def no_such_option(setting: str, file_format: str) -> ConfigError:
    """A setting that files of this format have no use for."""
    return ConfigError(
        found=f"{setting} is set and data.format is {file_format}",
        expected=f"no {setting}: {file_format} files need none",
        do=f"--set {setting}=null, or --set data.format=csv",
    )


def ranking_without_documents() -> ConfigError:
    """A ranking of which only the queries' column is named."""
    return ConfigError(
        found="task is text-ranking and data.text_pair is not set",
        expected="queries in the column data.text and documents in the column data.text_pair",
        do="--text QUERIES --text-pair DOCUMENTS",
    )


def other_loss(loss: str, task: str, known: Sequence[str]) -> ConfigError:
    """A loss of another task; ``known`` are the task's own."""
    return ConfigError(
        found=f"train.loss is {loss} and task is {task}",
        expected=f"one of: {', '.join(known)}",
        do=f"--set train.loss={known[0]}",
    )


def unknown_task(name: str, known: Collection[str], do: str) -> ConfigError:
    """A task that does not exist; ``name`` is written as in YAML."""
    return ConfigError(f"task is {name}", f"one of: {', '.join(known)}", do)


def other_task_reads(setting: str, task: str, readers: Sequence[str]) -> ConfigError:
    """A setting that was given and that the task does not read."""
    return ConfigError(
        found=f"{setting} is set, and {task} does not read it",
        expected=f"a setting that {task} reads; {setting} is read by {', '.join(readers)}",
        do=f"remove {setting}, or set task: {readers[0]}",
    )


def fixed_by_training(setting: str, allowed: Sequence[str]) -> ConfigError:
    """A setting for a new file that cannot change after training."""
    return ConfigError(
        found=f"--set {setting}=…, for a file that is evaluated or predicted",
        expected=f"a setting that says how the file is written: {', '.join(allowed)}",
        do=f"leave {setting} out; to change it, train another run",
    )


def without_effect(setting: str, other: str, value: object) -> ConfigError:
    """A setting that has an effect only where another one has a value."""
    shown = {True: "true"}.get(value, value) if isinstance(value, bool) else value
    return ConfigError(
        found=f"{setting} is set, and {other} is not {'set' if shown == 'COLUMN' else shown}",
        expected=f"{setting} together with {other}: {shown}",
        do=f"--set {other}={shown}; or leave {setting} out",
    )


def threshold_of_many(labels: int) -> ConfigError:
    """One threshold, for more than two labels."""
    return ConfigError(
        found=f"train.choose_threshold is set and the training rows have {labels} labels",
        expected="two labels, of which the second is answered from a threshold on",
        do="--set train.choose_threshold=false",
    )


def repeated_column(name: str, setting: str = "data.columns") -> ConfigError:
    """A column name that a list of them gives twice."""
    return ConfigError(
        found=f"{setting} has {name} more than once",
        expected="a name of its own for every column",
        do=f"rename one {name} in {setting}",
    )


def same_column(setting: str, other: str, column: str) -> ConfigError:
    """One column that would have to mean two things."""
    return ConfigError(
        found=f"{setting} and {other} are both {column}",
        expected="two different columns",
        do=f"--set {other}=COLUMN",
    )


def beams_while_drawing(beams: int, temperature: float) -> ConfigError:
    """Beams search for the likeliest text; a temperature draws one by chance."""
    return ConfigError(
        found=f"generate.beams is {beams} and generate.temperature is {temperature:g}",
        expected="one of the two: beams search for the likeliest text and draw nothing",
        do="generate.temperature: 0, to search (--temperature 0); or generate.beams: 1, to draw",
    )


def too_many_continuations(count: int, beams: int) -> ConfigError:
    """Without drawing, a prompt has no more continuations than there are beams."""
    return ConfigError(
        found=f"generate.count is {count}, and without drawing (generate.temperature is 0) a prompt"
        f" has {beams} continuation" + "s" * (beams > 1),
        expected="no more continuations than beams, or a temperature above 0",
        do="generate.temperature: 1, to draw (--temperature 1); or "
        f"generate.beams: {count} (--beams {count})",
    )


def int8_without_onnx() -> ConfigError:
    """A model of 8 bits, which is made of the ONNX model, without that."""
    return ConfigError(
        found="export.int8 is set and export.onnx is not",
        expected="both: the model of 8 bits is made of the other",
        do="--set export.onnx=true",
    )
