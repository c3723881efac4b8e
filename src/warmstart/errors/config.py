"""Error messages about settings: unknown, malformed, contradictory.

``where`` is the place where the setting was given, for example ``cola.yaml:12``,
``--set train.epochs=0`` or ``--validation 2``. It is empty for a config made in Python. The message
starts with it.
"""

from collections.abc import Collection, Sequence
from difflib import get_close_matches

from warmstart.errors.base import ConfigError
from warmstart.errors.counts import counted

LIST_SETTINGS = "`warmstart recipes cola` prints a config to start from"


def located(error: ConfigError, where: str) -> ConfigError:
    """``error`` with the place where the setting was given in front of its message."""
    return ConfigError(f"{where}: {error.found}", error.expected, error.do) if where else error


def all_of(config_errors: Sequence[ConfigError], source: str) -> ConfigError:
    """One error for all errors in the config ``source``; a single error is returned unchanged."""
    if len(config_errors) == 1:
        return config_errors[0]
    blocks = "\n".join(map(str, config_errors))
    return ConfigError(
        found=f"{source} has {len(config_errors)} errors\n  " + blocks.replace("\n", "\n  "),
        expected="only known settings with valid values",
        do=f"correct all {len(config_errors)} errors as described above",
    )


def unknown_setting(name: str, nearest: str | None, do: str) -> ConfigError:
    """A setting that does not exist; ``nearest`` is the most similar known setting."""
    return ConfigError(
        found=f"{name} is not a setting",
        expected=f"a known setting, such as {nearest}" if nearest else "a known setting",
        do=do if nearest else f"remove it; {LIST_SETTINGS}",
    )


def missing_setting(name: str, meaning: str, do: str) -> ConfigError:
    """A required setting (one without a default) was not given."""
    return ConfigError(f"{name} is missing", meaning.replace("``", "`"), do)


def wrong_value(name: str, value: str, expected: str, do: str) -> ConfigError:
    """A value of the wrong type or outside the allowed range; ``value`` is formatted as YAML."""
    return ConfigError(f"{name} is {value}", expected, do)


def not_a_group(name: str, value: str, member: str) -> ConfigError:
    """A single value was given for a group of settings; ``member`` is one setting of the group."""
    return ConfigError(
        found=f"{name} is {value}",
        expected=f"a group: {name} contains several settings and has no value of its own",
        do=f"set one setting of the group, such as {name}.{member}",
    )


def not_a_config(path: str, value: str) -> ConfigError:
    """A file that contains no settings but a list, a number or a CSV table."""
    return ConfigError(
        found=f"{path} contains {value}, not settings",
        expected="YAML with lines such as `task: text-classification`",
        do="train a table: warmstart train FILE --text COL --label COL [--print-config > C.yaml]",
    )


def bad_yaml(path: str, line: int, column: int, problem: str) -> ConfigError:
    """Text that is not valid YAML; ``line`` and ``column`` are counted from 1."""
    return ConfigError(
        found=f"{path}:{line}:{column}: {problem}",
        expected="YAML: `name: value` lines, with the same indentation (spaces) within a group",
        do=f"correct line {line}; put a value that contains `: ` or ` #` in quotes",
    )


def yaml_feature(path: str, line: int, feature: str) -> ConfigError:
    """A YAML feature that configs do not support: aliases, tags, several documents, ..."""
    return ConfigError(
        found=f"{path}:{line}: {feature}",
        expected="one document of plain names, values and lists",
        do=f"write the plain value in line {line}",
    )


def duplicate_key(path: str, line: int, name: str, first_line: int) -> ConfigError:
    """A setting that occurs twice in one file."""
    return ConfigError(
        found=f"{path}:{line}: {name} was already set in line {first_line}",
        expected="every setting only once",
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
    """A config path that does not exist; the most similar name in ``recipes`` is suggested."""
    nearest = get_close_matches(path.removesuffix(".yaml").removesuffix(".yml"), recipes, n=1)
    return ConfigError(
        found=f"{path} does not exist",
        expected="a YAML file, or the name of a recipe",
        do=f"{nearest[0]} (the recipe)" if nearest else f"a recipe: {', '.join(recipes)}",
    )


def config_is_a_folder(path: str) -> ConfigError:
    """A folder was given in place of a YAML file."""
    return ConfigError(
        found=f"{path} is a folder",
        expected="a YAML file, or the name of a recipe",
        do=f"{path}/config.yaml, if the folder is a run directory: this repeats the run",
    )


def config_unreadable(path: str, why: str) -> ConfigError:
    """The operating system refuses to read the file; ``why`` is its reason."""
    return ConfigError(f"{path}: {why}", "a readable file", "check its permissions")


def unknown_recipe(name: str, known: Collection[str]) -> ConfigError:
    """A name that is not the name of a recipe."""
    nearest = get_close_matches(name, known, n=1)
    return ConfigError(
        found=f"there is no recipe {name}",
        expected=f"one of: {', '.join(known)}",
        do=nearest[0] if nearest else f"./{name} if it is a file; `warmstart recipes` lists them",
    )


def unknown_metric(name: str, known: Sequence[str]) -> ConfigError:
    """A ``best_metric`` that the task does not report; ``known`` starts with its main metric."""
    # ``f1`` means one of the F1 scores: the first whose name contains it.
    within = [metric for metric in known if name.lower() in metric]
    nearest = within or get_close_matches(name, known, n=1) or known[:1]
    return ConfigError(
        found=f"train.best_metric is {name}",
        expected=f"one of: {', '.join(known)}",
        do=f"--set train.best_metric={nearest[0]}",
    )


def heads_do_not_divide(hidden: int, heads: int) -> ConfigError:
    """A hidden size that is not divisible by the number of attention heads."""
    fewer = max(n for n in range(1, heads + 1) if hidden % n == 0)
    wider = -(-hidden // heads) * heads
    return ConfigError(
        found=f"pretrain.hidden is {hidden} and pretrain.heads is {heads}",
        expected="a hidden size that is a multiple of the number of heads",
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
        expected=f"{least} or more: one token for each of the 256 bytes and one for the end of a "
        "text, even without any word",
        do="--set pretrain.vocabulary=8192",
    )


def vocabulary_too_large(size: int, available: int, works: int | None) -> ConfigError:
    """More tokens than were learned from the training rows; the size ``works`` was tried."""
    fewer = "" if works is None else f"--set pretrain.vocabulary={works}, or "
    return ConfigError(
        found=f"pretrain.vocabulary is {size}, but the training rows give only "
        f"{counted(available, 'token')}",
        expected="a vocabulary of subwords that each occur at least twice in the training rows",
        do=f"{fewer}train on more text",
    )


def pretrain_with_train() -> ConfigError:
    """``warmstart train`` with a config that has a ``pretrain`` section."""
    return ConfigError(
        found="the config has a `pretrain` section, but `warmstart train` starts from model.name",
        expected="`warmstart pretrain` for a new model, or a config without that section",
        do="warmstart pretrain CONFIG; or, to train model.name, remove the section",
    )


def nothing_to_pretrain() -> ConfigError:
    """``warmstart pretrain`` with a config that does not describe a new model."""
    return ConfigError(
        found="the config has no `pretrain` section, which describes the model to create",
        expected="its architecture, its size, or both",
        do="--set pretrain.size=mini; or, to start from model.name: warmstart train CONFIG",
    )


def model_and_pretrain(name: str) -> ConfigError:
    """A config with both a checkpoint to start from and a new model to create."""
    return ConfigError(
        found=f"model.name is {name}, but the `pretrain` section describes a new model",
        expected="one of the two: `warmstart pretrain` starts from randomly initialised weights",
        do="remove model.name; or, to start from that checkpoint, remove the `pretrain` section "
        "and run: warmstart train CONFIG",
    )


def unknown_part(freeze: str) -> ConfigError:
    """A value of ``train.freeze`` that does not name a part of a model."""
    return ConfigError(
        found=f"train.freeze is {freeze}",
        expected="backbone (only the head trains), or embeddings+layers:k (the first k layers)",
        do="--set train.freeze=backbone",
    )


def warmup_too_long(warmup_steps: int, total_steps: int) -> ConfigError:
    """A warm-up that is longer than the run, both in steps."""
    return ConfigError(
        found=f"a warm-up of {counted(warmup_steps, 'step')} in a run of {total_steps:,}",
        expected="a warm-up shorter than the run",
        do="--set train.warmup_steps=0, or raise train.epochs",
    )


def precision_unsupported(precision: str, device: str, why: str) -> ConfigError:
    """A precision that the device does not support; ``why`` is the reason."""
    return ConfigError(
        found=f"train.precision is {precision} on {device}: {why}",
        expected=f"a precision that {device} supports",
        do="--set train.precision=auto",
    )


def several_processes(processes: int) -> ConfigError:
    """A launcher started several processes of a program other than the command ``warmstart``."""
    return ConfigError(
        found=f"{processes} processes were started, and each of them would do the whole training",
        expected="the command `warmstart`, which distributes the training over the processes",
        do=f"torchrun --nproc-per-node {processes} -m warmstart train CONFIG",
    )


def two_warmups(warmup_steps: int, warmup_share: float) -> ConfigError:
    """A warm-up given both in steps and as a share of the run's steps."""
    return ConfigError(
        found=f"train.warmup_share is {warmup_share} and train.warmup_steps is {warmup_steps}",
        expected="one of the two",
        do="--set train.warmup_steps=null or --set train.warmup_share=null",
    )


def ranking_without_documents() -> ConfigError:
    """Text ranking with a column of queries but no column of documents."""
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
    """A setting was given that the task does not read."""
    return ConfigError(
        found=f"{setting} is set, and {task} does not read it",
        expected=f"a setting that {task} reads; {setting} is read by {', '.join(readers)}",
        do=f"remove {setting}, or set task: {readers[0]}",
    )


def fixed_by_training(setting: str, allowed: Sequence[str]) -> ConfigError:
    """A setting for a new file that cannot change after training."""
    return ConfigError(
        found=f"--set {setting}=…, for a file that is evaluated or predicted",
        expected=f"a setting that describes the format of the file: {', '.join(allowed)}",
        do=f"leave {setting} out; to change it, train another run",
    )


def without_effect(setting: str, default: str, other: str, value: object) -> ConfigError:
    """A setting that has an effect only if another setting has a certain value, or none."""
    leave_out = f"--set {setting}={default}"
    if value is None:
        return ConfigError(
            found=f"{setting} and {other} are both set",
            expected=f"one of the two: {setting} is not read if {other} is set",
            do=f"{leave_out}; or --set {other}=null",
        )
    of_kind = {
        "SHARE": ("is not a share of the training rows", f"such a share: {other}: 0.1", "0.1"),
        "ROWS": ("is none", "validation rows, on which the model is scored", "0.1"),
        "POSITIVE": ("is 0", f"sampling: {other} above 0", "1.0"),
    }
    if isinstance(value, str) and value in of_kind:
        state, needed, example = of_kind[value]
        return ConfigError(
            found=f"{setting} is set, and {other} {state}",
            expected=f"{setting} together with {needed}",
            do=f"{leave_out}; or --set {other}={example}",
        )
    shown = {True: "true"}.get(value, value) if isinstance(value, bool) else value
    return ConfigError(
        found=f"{setting} is set, and {other} is not {'set' if str(shown).isupper() else shown}",
        expected=f"{setting} together with {other}: {shown}",
        do=f"--set {other}={shown}; or {leave_out}",
    )


def threshold_of_many(labels: int) -> ConfigError:
    """A decision threshold for more than two labels."""
    return ConfigError(
        found=f"train.choose_threshold is set and the training rows have {labels} labels",
        expected="two labels: the second is predicted if its probability reaches the threshold",
        do="--set train.choose_threshold=false",
    )


def repeated_column(name: str, setting: str = "data.columns") -> ConfigError:
    """A column name that occurs twice in a list of columns."""
    return ConfigError(
        found=f"{setting} has {name} more than once",
        expected="a different name for every column",
        do=f"rename one {name} in {setting}",
    )


def same_column(setting: str, other: str, column: str) -> ConfigError:
    """Two settings that name the same column."""
    return ConfigError(
        found=f"{setting} and {other} are both {column}",
        expected="two different columns",
        do=f"--set {other}=COLUMN",
    )


def beams_with_sampling(beams: int, temperature: float) -> ConfigError:
    """Beam search together with sampling."""
    return ConfigError(
        found=f"generate.beams is {beams} and generate.temperature is {temperature:g}",
        expected="one of the two: beam search finds the most likely text and does not sample",
        do="for beam search generate.temperature: 0 (--temperature 0); or, to sample, "
        "generate.beams: 1 (--beams 1)",
    )


def too_many_continuations(count: int, beams: int) -> ConfigError:
    """More continuations than beams, without sampling."""
    return ConfigError(
        found=f"generate.count is {count}, and without sampling (generate.temperature is 0) a "
        f"prompt has {beams} continuation" + "s" * (beams > 1),
        expected="no more continuations than beams, or a temperature above 0",
        do="to sample, generate.temperature: 1 (--temperature 1); or "
        f"generate.beams: {count} (--beams {count})",
    )


def int8_without_onnx() -> ConfigError:
    """``export.int8`` without ``export.onnx``: the int8 model is made from the ONNX model."""
    return ConfigError(
        found="export.int8 is set and export.onnx is not",
        expected="both: the int8 model is made from the ONNX model",
        do="--set export.onnx=true",
    )
