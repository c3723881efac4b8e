"""Settings that a task does not read are refused, in every kind of config."""

from pathlib import Path
from typing import Any

import pytest

from warmstart import config_file, errors
from warmstart.config import RunConfig, config_yaml
from warmstart.config.config_faults import SETTINGS, in_yaml
from warmstart.tasks import TASKS
from warmstart.tasks.settings_check import leaves
from warmstart.tasks.task_settings import NEEDS, TASK_SETTINGS

VALUES: dict[str, Any] = {
    "data.label": "grade",
    "data.missing": "drop",
    "data.stratify": False,
    "data.label_names": ["good", "bad"],
    "data.label_separator": ";",
    "data.label_columns": ["rude", "spam"],
    "data.text_pair": "answer",
    "data.truncation": "second_only",
    "data.prompt": "question",
    "data.long_documents": "chunk",
    "data.overlap_tokens": 7,
    "data.mask_share": 0.3,
    "data.segment_characters": 90,
    "data.whole_words": True,
    "data.words": "tokens",
    "data.tags": "ner",
    "data.spans": "entities",
    "data.tag_scheme": "BILOU",
    "data.answers": "references",
    "data.answer_start": "begin",
    "data.max_answer_tokens": 12,
    "train.loss": "focal",
    "train.focal_gamma": 1.5,
    "train.class_weights": "balanced",
    "train.choose_threshold": True,
    "train.calibrate": "temperature",
    "train.freeze": "embeddings+layers:1",
    "train.unfreeze_layers_per_epoch": 2,
    "train.head_start": "linear-probe",
    "train.retry": True,
    "model.pooling": "first",
    "train.sample_every_steps": 10,
    "generate.max_new_tokens": 5,
    "generate.temperature": 0.5,
    "generate.top_k": 20,
    "generate.top_p": 0.9,
    "generate.repetition_penalty": 1.2,
    "generate.beams": 3,
    "generate.count": 2,
    "generate.stop": ["."],
    "generate.seed": 3,
    "model.special_tokens.bos": "<s>",
    "model.special_tokens.eos": "</s>",
    "model.special_tokens.pad": "<pad>",
    "export.onnx": True,
    "export.int8": True,
    "export.max_drop": 0.02,
}
"""For every setting that only some tasks read, a value that is not its default."""

WITH: dict[str, dict[str, Any]] = {
    "generate.beams": {"generate.temperature": 0.0},
    "export.int8": {"export.onnx": True},
    "export.max_drop": {"export.onnx": True, "export.int8": True},
    "data.overlap_tokens": {"data.long_documents": "chunk"},
    "data.truncation": {"data.text_pair": "answer"},
    "train.focal_gamma": {"train.loss": "focal"},
}
"""Settings that another setting requires."""

ALL = [(task, setting) for task in TASKS for setting in sorted(TASK_SETTINGS)]
READ = [(task, setting) for task, setting in ALL if setting in TASKS[task].reads]
UNREAD = [pair for pair in ALL if pair not in READ]


def minimal(task: str) -> dict[str, Any]:
    """Settings that the task requires, by dotted name."""
    pairs = task in ("text-ranking", "question-answering")
    needed = {"data.text_pair": "document"} if pairs else {}
    return {"task": task, "data.train": "a.csv", **needed}


def nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, as the groups of a config."""
    content: dict[str, Any] = {}
    for name, value in settings.items():
        *groups, last = name.split(".")
        part = content
        for group in groups:
            part = part.setdefault(group, {})
        part[last] = value
    return content


def with_setting(task: str, setting: str) -> dict[str, Any]:
    """Usable settings of a task that reads ``setting``."""
    reads = TASKS[task].reads
    given = {name: value for name, value in WITH.get(setting, {}).items() if name in reads}
    value = TASKS[task].losses[-1] if setting == "train.loss" else VALUES[setting]
    return {**minimal(task), **given, setting: value}


def refused(source: Any, overrides: list[str] | None = None) -> errors.ConfigError:
    with pytest.raises(errors.ConfigError) as caught:
        config_file.load(source, overrides or [])
    return caught.value


def test_every_setting_is_one_that_some_task_reads() -> None:
    assert VALUES.keys() == TASK_SETTINGS <= SETTINGS.keys()
    of_all_tasks = {"data.split_seed", "train.extend", "train.best_metric", "train.early_stopping"}
    assert NEEDS.keys() - TASK_SETTINGS == {*of_all_tasks, "train.evaluations_per_epoch"}
    read = {name: task.reads for name, task in TASKS.items()}
    assert all(reads <= TASK_SETTINGS for reads in read.values()), read
    assert frozenset().union(*read.values()) == TASK_SETTINGS
    # Otherwise it would belong to the settings that every task reads, which are not listed.
    assert not frozenset.intersection(*read.values())
    for name, value in VALUES.items():
        assert SETTINGS[name].accepts(value)
        assert SETTINGS[name].default != value


def assert_refused(error: errors.ConfigError, task: str, setting: str, where: str) -> None:
    """The three parts, which name the place, the task, and the tasks that read the setting."""
    readers = [name for name, kind in TASKS.items() if setting in kind.reads]
    assert error.found == f"{where}{setting} is set, and {task} does not read it"
    assert error.expected.endswith(f"{setting} is read by {', '.join(readers)}")
    assert error.do == f"remove {setting}, or set task: {readers[0]}"


@pytest.mark.parametrize(("task", "setting"), UNREAD)
def test_a_setting_of_another_task_is_refused(task: str, setting: str, tmp_path: Path) -> None:
    # For any value; these settings alone contradict no other setting.
    value = {"generate.beams": 1, "export.int8": False}.get(setting, VALUES[setting])
    given = {**minimal(task), setting: value}
    assert_refused(refused(nested(given)), task, setting, where="")

    path = tmp_path / "config.yaml"
    path.write_text(config_yaml.write_yaml(nested(given)), "utf-8")
    last = setting.rpartition(".")[2]
    lines = path.read_text("utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.strip().startswith(f"{last}:"))
    assert_refused(refused(path), task, setting, where=f"{path}:{number}: ")

    override = f"{setting}={in_yaml(value)}"
    error = refused(nested(minimal(task)), [override])
    assert_refused(error, task, setting, where=f"--set {override}: ")
    # Both solutions that the message names.
    assert config_file.load(nested(minimal(task))).task == task
    reader = error.do.rpartition(" ")[2]
    assert config_file.load(nested(with_setting(reader, setting))).task == reader


def test_a_config_made_in_python_is_checked_too() -> None:
    config = RunConfig.model_validate(nested({**minimal("fill-mask"), "data.prompt": "question"}))
    assert_refused(refused(config), "fill-mask", "data.prompt", where="")


def test_a_null_is_not_given() -> None:
    config = config_file.load(nested({**minimal("fill-mask"), "data.prompt": None}))
    assert config.data.prompt is None


def test_every_unread_setting_is_in_the_one_message() -> None:
    given = {**minimal("fill-mask"), "data.prompt": "question", "train.loss": "focal"}
    message = str(refused(nested(given), ["export.onnx=true"]))
    assert message.startswith("the config has 3 errors")
    for setting in ("data.prompt", "train.loss", "export.onnx"):
        assert f"{setting} is set, and fill-mask does not read it" in message


@pytest.mark.parametrize(("task", "setting"), READ)
def test_config_yaml_holds_what_the_task_reads_and_loads_again(
    task: str, setting: str, tmp_path: Path
) -> None:
    given = with_setting(task, setting)
    config = config_file.load(nested(given))
    path = tmp_path / "config.yaml"
    path.write_text(config_file.dump(config), "utf-8")
    assert config_file.load(path) == config
    written = leaves(config_yaml.read_yaml(path.read_text("utf-8"), "config.yaml").content)
    assert given.items() <= written.items()
    assert not written.keys() & (TASK_SETTINGS - TASKS[task].reads)


@pytest.mark.parametrize("task", TASKS)
def test_config_yaml_leaves_out_what_has_no_effect(task: str) -> None:
    written = leaves(
        config_yaml.read_yaml(config_file.dump(config_file.load(nested(minimal(task)))), "").content
    )
    for setting, (other, value) in NEEDS.items():
        if SETTINGS[setting].default is None:  # null is not written
            continue
        # By default, validation is a share and no label columns are named.
        fulfilled = (setting in TASKS[task].reads or setting not in TASK_SETTINGS) and (
            value in (None, "SHARE", "ROWS", "POSITIVE")
            or (other in TASK_SETTINGS and other not in TASKS[task].reads)
            or (value == "COLUMN" and task == "text-ranking")
        )
        assert (setting in written) == fulfilled, setting


WITHOUT_EFFECT = [
    (task, setting)
    for task, setting in READ
    if setting in NEEDS
    and NEEDS[setting][0] in TASKS[task].reads
    and task != "text-ranking"
    and NEEDS[setting][1] not in (None, "POSITIVE")
]


@pytest.mark.parametrize(("task", "setting"), WITHOUT_EFFECT)
def test_a_setting_without_effect_is_refused(task: str, setting: str, tmp_path: Path) -> None:
    other, value = NEEDS[setting]
    path = tmp_path / "config.yaml"
    given = {**minimal(task), **WITH[setting], setting: VALUES[setting]}
    del given[other]
    path.write_text(config_yaml.write_yaml(nested(given)), "utf-8")
    error = refused(path)
    assert f": {setting} is set, and {other} is not " in error.found
    assert error.expected.startswith(f"{setting} together with {other}: ")
    # The advice, used as it is printed.
    first, second = (advice.removeprefix("--set ") for advice in error.do.split("; or "))
    assert leaves(config_file.load(path, [first]).model_dump())[other] == value
    default = leaves(config_file.load(path, [second]).model_dump()).get(setting)
    assert default == SETTINGS[setting].default
    del given[setting]
    assert config_file.load(nested(given)).task == task


def test_what_has_no_effect_are_these() -> None:
    assert set(WITHOUT_EFFECT) >= {
        ("text-generation", "data.overlap_tokens"),
        ("fill-mask", "data.overlap_tokens"),
        ("text-classification", "train.focal_gamma"),
        ("text-classification", "data.truncation"),
        ("text-regression", "data.truncation"),
    }


@pytest.mark.parametrize("setting", ["data.label", "data.label_separator"])
def test_a_label_column_next_to_columns_of_labels_is_refused(setting: str) -> None:
    given = {
        **minimal("multi-label-classification"),
        "data.label_columns": ["rude", "spam"],
        setting: VALUES[setting],
    }
    error = refused(nested(given))
    assert error.found == f"{setting} and data.label_columns are both set"
    for advice in error.do.split("; or "):
        assert config_file.load(nested(given), [advice.removeprefix("--set ")])
    del given[setting]
    assert setting not in leaves(
        config_yaml.read_yaml(config_file.dump(config_file.load(nested(given))), "").content
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [("data.stratify", False), ("data.split_seed", 7), ("data.duplicates", "together")],
)
def test_settings_of_a_split_next_to_a_validation_file_are_refused(
    setting: str, value: Any
) -> None:
    given = {**minimal("text-classification"), "data.validation": "b.csv", setting: value}
    error = refused(nested(given))
    assert (
        error.found == f"{setting} is set, and data.validation is not a share of the training rows"
    )
    for advice in error.do.split("; or "):
        assert config_file.load(nested(given), [advice.removeprefix("--set ")])
    del given[setting]
    config = config_file.load(nested(given))
    written = leaves(config_yaml.read_yaml(config_file.dump(config), "").content)
    assert written.get(setting) in (None, "keep")
    assert config_file.load(nested(written)) == config


@pytest.mark.parametrize("setting", ["generate.top_k", "generate.top_p", "generate.seed"])
def test_settings_for_sampling_are_refused_without_sampling(setting: str) -> None:
    given = {
        **minimal("text-generation"),
        "generate.temperature": 0,
        setting: VALUES[setting],
    }
    error = refused(nested(given))
    assert error.found == f"{setting} is set, and generate.temperature is 0"
    for advice in error.do.split("; or "):
        assert config_file.load(nested(given), [advice.removeprefix("--set ")])


def test_rates_of_layers_that_are_frozen_are_refused() -> None:
    given = {
        **minimal("text-classification"),
        "train.layer_decay": 0.9,
        "train.freeze": "backbone",
    }
    error = refused(nested(given))
    assert error.found.endswith("train.layer_decay is set and train.freeze is backbone")
    for advice in error.do.split(", or "):
        assert config_file.load(nested(given), [advice.removeprefix("--set ")])


def test_windows_overlap_without_chunks() -> None:
    """Token classification always cuts long texts into windows, so this cannot be set."""
    given = {**minimal("token-classification"), "data.overlap_tokens": 7}
    assert config_file.load(nested(given)).data.overlap_tokens == 7


@pytest.mark.parametrize("task", ["text-classification", "text-ranking", "text-regression"])
def test_a_loss_of_another_task_is_refused(task: str) -> None:
    foreign = next(
        loss for kind in TASKS.values() for loss in kind.losses if loss not in TASKS[task].losses
    )
    error = refused(nested({**minimal(task), "train.loss": foreign}))
    assert error.found == f"train.loss is {foreign} and task is {task}"
    assert error.expected == f"one of: {', '.join(TASKS[task].losses)}"
    override = error.do.removeprefix("--set ")
    assert config_file.load(nested(minimal(task)), [override]).train.loss == TASKS[task].losses[0]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("text-clasification", "text-classification"), ("ner", None), ("Fill-Mask", "fill-mask")],
)
def test_an_unknown_task_is_corrected(name: str, nearest: str | None, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"data: {{train: a.csv}}\ntask: {name}\n")
    error = refused(path)
    assert error.found == f"{path}:2: task is {name}"
    assert error.expected == f"one of: {', '.join(TASKS)}"
    advised = error.do.removeprefix("task: ")
    assert advised in TASKS
    assert nearest is None or advised == nearest
    assert refused(nested(minimal("fill-mask")), [f"task={name}"]).do == f"--set task={advised}"
