"""Advice that is tried: what a message or a command prints works as it is printed."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.quick import slow_except
from warmstart import cli, config_file, errors
from warmstart.cli.output import runnable
from warmstart.config import DataConfig
from warmstart.data.label_lists import label_lists
from warmstart.data.reading.encodings import to_utf8
from warmstart.errors import ConfigError, DataError
from warmstart.tasks import TASKS
from warmstart.training import forecast

ROWS = "text,label\n" + "".join(f"a good day {i},good\na bad day {i},bad\n" for i in range(10))


@pytest.fixture(autouse=True)
def _no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run only checks here: a forecast of the bundled model takes longer than the rest."""
    monkeypatch.setattr(forecast, "why_no_forecast", lambda _: "no forecast in this test")


@pytest.mark.parametrize(
    "more",
    slow_except(
        [[], ["--text", "text", "--label", "label"], ["--validation", "0.5"]],
        ["--text", "text", "--label", "label"],
    ),
)
def test_a_file_is_trained_as_it_is_checked(
    more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(ROWS)
    assert cli.main(["check", "rows.csv", *more]) == 0
    assert cli.main(["train", "rows.csv", *more, "--dry-run"]) == 0
    assert cli.main(["train", "--train", "rows.csv", *more, "--dry-run"]) == 0


def test_a_config_stays_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("data: {train: a.csv}")
    assert cli.main(["train", str(tmp_path / "a.yaml"), "--label", "stars"]) == 2
    assert "both a config" in capsys.readouterr().err
    (tmp_path / "plain").write_text("data: {train: b.csv}")
    assert cli.main(["train", str(tmp_path / "plain"), "--print-config"]) == 0
    assert "train: b.csv" in capsys.readouterr().out


NAMES = {
    "ner": "token-classification",
    "pos": "token-classification",
    "NER": "token-classification",
    "token_classification": "token-classification",
    "classification": "text-classification",
    "sentiment": "text-classification",
    "regression": "text-regression",
    "generation": "text-generation",
    "causal_lm": "text-generation",
    "mlm": "fill-mask",
    "masked-lm": "fill-mask",
    "reranking": "text-ranking",
    "multilabel": "multi-label-classification",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_task_that_another_name_means(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_file.load({"data": {"train": "a.csv"}}, [f"task={name}"])
    assert caught.value.do == f"--set task={NAMES[name]}"


def test_names_of_tasks_are_unique() -> None:
    names = [name for task in TASKS.values() for name in (task.name, *task.other_names)]
    assert len(set(names)) == len(names)


def test_a_list_is_advised_in_quotes_and_works() -> None:
    base = {"data": {"train": "a.csv"}}
    with pytest.raises(ConfigError) as caught:
        config_file.load(base, ["data.columns=text,label"])
    assert caught.value.do.startswith("--set 'data.columns=[")
    option, advised = shlex.split(caught.value.do)
    assert option == "--set"
    assert config_file.load(base, [advised]).data.columns == ["text", "label"]


@pytest.mark.parametrize("separator", [",", ";", "/"])
def test_labels_with_another_separator_are_asked_about(separator: str) -> None:
    from tests.data.test_label_lists import table_of

    texts = [separator.join(one) for one in ("a", "b", "ab", "ac", "bc", "abc")]
    with pytest.raises(DataError, match=r"6 different labels .* made of 3 parts") as caught:
        label_lists(table_of(label=texts), DataConfig(train="x"))
    first, second = caught.value.do.split("; or, if these are whole labels: ")
    for advice, labels in ((first, 3), (second, 6)):
        value = shlex.split(advice)[1].partition("=")[2]
        data = DataConfig(train="x", label_separator=value)
        found = label_lists(table_of(label=texts), data)
        assert len({label for row in found.to_pylist() for label in row}) == labels


def test_labels_with_spaces_between_them_are_asked_about() -> None:
    from tests.data.test_label_lists import table_of

    with pytest.raises(DataError, match=r"3 different labels .* made of 2 parts") as caught:
        label_lists(table_of(label=["joy", "sad joy", "sad"]), DataConfig(train="x"))
    value = shlex.split(caught.value.do)[1].partition("=")[2].removesuffix(";")
    data = config_file.from_arguments(
        train=["x"],
        overrides=["task=multi-label-classification", f"data.label_separator={value}"],
    ).data
    found = label_lists(table_of(label=["joy", "sad joy", "sad"]), data).to_pylist()
    assert list(map(set, found)) == [{"joy"}, {"sad", "joy"}, {"sad"}]


@pytest.mark.parametrize(
    "texts",
    [
        ["Paris, France", "Rome, Italy"],
        ["a|b", "a,b", "b,a", "a"],
        ["good", "very good", "bad", "very bad"],
    ],
)
def test_other_labels_are_not_asked_about(texts: list[str]) -> None:
    from tests.data.test_label_lists import table_of

    assert label_lists(table_of(label=texts), DataConfig(train="x"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("It costs £5, and then £12 more.\n" * 30, "cp1252"),
        ("The café costs £5 an hour.\n" * 30, "cp1252"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy.\n" * 30, "cp1250"),
        ("a good text\n" * 30 + "Jest świetnie w Łodzi.\n", "cp1250"),
        ("a good text\n" * 30 + "To było różne.\n", "cp1250"),
        ("a good text\n" * 30 + "„Źle się czuję”\n", "cp1250"),
        ("a good text\n" * 30 + "Zażółć gęślą jaźń\n" * 40, "cp1250"),
        ("a good text\n" * 30 + "Cena 5 zł, coś taniej\n", "cp1250"),
        ("Ťažký text\n", "cp1250"),
        ("a good text\n" * 30 + "10 m³, 5 m², and £5 more (¿no?)\n", "cp1252"),
        ("a good text\n" * 30 + "une œuvre, le cœur, ça coûte £20\n", "cp1252"),
        ("a good text\n" * 30 + "você e a fábrica, ¿qué?\n", "cp1252"),
    ],
)
def test_the_encoding_that_is_advised_first(text: str, encoding: str) -> None:
    with pytest.raises(DataError) as caught:
        to_utf8(text.encode(encoding), "auto", "a.csv")
    advised = caught.value.do.split(" ")[1].partition("=")[2]
    assert text.encode(encoding).decode(advised) == text


REVIEWS = "review,stars\n" + "".join(f"a good day {i},a\na bad day {i},b\n" for i in range(10))


@pytest.mark.parametrize(
    ("words", "advised", "then"),
    [
        ("check reviews.csv --text reveiw --label stars", "--text review", "replace"),
        ("train reviews.csv --text reveiw --label stars --dry-run", "--text review", "replace"),
        (
            "train --train reviews.csv --text review --label star --dry-run",
            "--label stars",
            "replace",
        ),
        ("check reviews.csv --text review", "--label COLUMN with one of them", "add"),
        ("train reviews.csv --text review --dry-run", "--label COLUMN with one of them", "add"),
        ("check reviews.csv --label stars", "--text COLUMN with one of them", "add"),
        ("check files", "warmstart check files/a.csv", "command"),
        ("train files --dry-run", "warmstart train files/a.csv", "command"),
        (
            "check rows.csv --model bundled/minilm-6",
            "--model bundled/minilm-l6",
            "replace",
        ),
        ("check rows.csv --model bundled/gpt-mini", "--model bundled/gpt2-mini", "only this"),
        ("info bundled/minilm-6", "warmstart info bundled/minilm-l6", "command"),
        (
            "train rows.csv --task fill-mask --label label --dry-run",
            "leave --label out",
            "only this",
        ),
        ("info elsewhere/", "check the path and the working directory", "only this"),
        ("check rows.csv --set data.text = text", "write NAME=VALUE without", "only this"),
        ("check row.csv", "warmstart check rows.csv", "command"),
        ("check rows.tsv", "warmstart check rows.csv", "command"),
        ("check unlike.csv", "check the path and the working directory", "only this"),
        ("train rows.csv --lr 1e-4", "warmstart train … --learning-rate", "only this"),
        ("train rows.csv --max_length 9", "warmstart train … --set model.max_tokens", "only this"),
        ("generate bundled/gpt2-mini --prompts no.txt", "check the path", "only this"),
        ("predict inside/model --text a", "name the run that contains it: inside", "only this"),
        ("generate bundled/gpt2 --prompt a", "warmstart generate bundled/gpt2-mini", "only this"),
    ],
)
def test_advice_has_the_form_in_which_a_setting_was_given(
    words: str,
    advised: str,
    then: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reviews.csv").write_text(REVIEWS)
    Path("rows.csv").write_text(ROWS)
    Path("files").mkdir()
    Path("files/a.csv").write_text(ROWS)
    Path("inside/model").mkdir(parents=True)
    Path("inside/config.yaml").write_text("")
    assert cli.main(words.split()) in (1, 2)
    message = capsys.readouterr().err
    advice = message.partition("try:")[2].strip()
    assert advice.startswith(advised)
    assert "--set data.text=review" not in advice
    assert "data.dir" not in advice or not words.startswith("generate")
    option, _, value = advised.partition(" ")
    given = words.split()
    if then == "command":
        given = advised.split()[1:]
    elif then == "replace":
        given[given.index(option) + 1] = value
    elif then == "add":
        given += [option, {"--label": "stars", "--text": "review"}[option]]
    else:
        return
    assert cli.main(given) == 0


def test_a_folder_of_texts_is_checked_and_trained_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("pos", "neg"):
        folder = Path("films", label)
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.txt").write_text(f"a {label} film {number}")
    assert cli.main(["check", "films"]) == 0
    assert cli.main(["train", "films", "--dry-run"]) == 0
    Path("films/config.json").write_text("{}")  # a folder of a model, which may have vocab.txt
    capsys.readouterr()
    assert cli.main(["check", "films"]) == 1
    assert "contains no run" in capsys.readouterr().err


@pytest.mark.parametrize("offline", [False, True])
def test_a_misspelt_model_gets_the_name_that_was_meant(
    offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = (
        errors.model.not_cached("bert-base-uncasd")
        if offline
        else errors.model.download_failed("bert-base-uncasd", "no answer", "https://hub")
    )
    assert error.do.startswith(
        "if the name is misspelt: --set model.name=google-bert/bert-base-uncased; or "
    )
    for right in ("google-bert/bert-base-uncased", "someone/of-their-own"):
        assert "misspelt" not in errors.model.not_cached(right).do


@pytest.mark.parametrize(
    ("started", "program"),
    [
        ("/elsewhere/warmstart", "/elsewhere/warmstart"),
        (".venv/bin/warmstart", ".venv/bin/warmstart"),
        ("/elsewhere/warmstart/__main__.py", "PYTHON -m warmstart"),
        ("pytest", "warmstart"),
    ],
)
def test_printed_commands_name_the_program_as_it_was_started(
    started: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [started])
    monkeypatch.setattr("warmstart.cli.output.shutil.which", lambda _: None)
    python = shlex.quote(sys.executable)
    text = runnable(
        "warmstart train RUN, or: warmstart recipes; warmstart reads text. pip install x"
    )
    if program == "warmstart":
        assert text.endswith("pip install x")
        assert "-m" not in text
        return
    program = program.replace("PYTHON", python)
    assert text == (
        f"{program} train RUN, or: {program} recipes; warmstart reads text. "
        f"{python} -m pip install x"
    )
    monkeypatch.setattr("warmstart.cli.output.shutil.which", lambda _: str(Path(started).resolve()))
    assert runnable("warmstart check a.csv") == "warmstart check a.csv"
