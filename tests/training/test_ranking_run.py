"""A ranking run: its steps compared with plain Transformers, and its files."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from tests.cli.conftest import ran
from tests.runs_in_memory import job_of, never, ranking_settings
from tests.tasks.test_text_ranking import listwise_by_hand, pairwise_by_hand
from tests.training.test_loop import losses_of
from warmstart import api, config_file
from warmstart.api import Run
from warmstart.config import DataConfig
from warmstart.data.examples.batches import collate
from warmstart.data.examples.targets import RowBatchTargets, of_kind
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import prepare
from warmstart.preparation.schedule import schedule_for
from warmstart.runs.directory import RunDirectory
from warmstart.runs.loaded_run import load_task
from warmstart.tasks.capabilities import ShowsMistakes
from warmstart.tasks.query_mistakes import worst_queries
from warmstart.tasks.text_ranking import TextRanking
from warmstart.training.loop import fit
from warmstart.training.train_run import train_run

STEPS = 50


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        ("pairwise", pairwise_by_hand),
        pytest.param("listwise", listwise_by_hand, marks=pytest.mark.slow),
    ],
)
def test_steps_are_those_of_a_plain_loop(tmp_path: Path, loss: str, by_hand: Any) -> None:
    """Padded by Transformers, query by query; the mean over the queries with different grades."""
    config = ranking_settings(tmp_path, dropout=0.0, loss=loss, epochs=9)
    prepared = prepare(config_file.load(config))
    job = job_of(prepared, tmp_path / "run")
    plain = job_of(prepared, tmp_path / "twin").model.train()
    plan = Plan.of(job.train, job.config)
    assert plan.total_steps > STEPS
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in plain.parameters() if p.ndim > 1]},
            {"params": [p for p in plain.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        weight_decay=job.config.weight_decay,
    )
    expected = []
    for step in range(STEPS):
        epoch, index = divmod(step, plan.steps_per_epoch)
        rows = np.concatenate(plan.epoch_windows(epoch)[index])
        groups = job.train.targets.groups
        assert groups is not None
        parts = []
        for one in np.unique(groups[rows]):
            batch = collate(job.train, rows[groups[rows] == one])
            grades = of_kind(batch.targets, RowBatchTargets).values.tolist()
            if max(grades) > min(grades):
                parts.append(by_hand(plain(**batch.padded(0)).logits[:, 0], grades))
        mean = torch.stack(parts).mean()
        expected.append(mean.item())
        for group in optimizer.param_groups:
            group["lr"] = job.config.learning_rate * schedule_for(job.config, plan.total_steps)(
                step
            )
        optimizer.zero_grad()
        mean.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()
    fit(job, resume=False, stop_requested=never)
    np.testing.assert_allclose(losses_of(job)[:STEPS], expected, atol=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("ranking")
    config = ranking_settings(folder, loss="listwise", epochs=4)
    data = Path(config["data"]["train"])
    data.write_text(data.read_text().replace(",1\n", ",1 \n").replace(",2\n", ",2.0\n"))
    train_run(prepare(config_file.load(config)), folder / "run")
    found = api.load(folder / "run")
    found.report()
    return found


def test_it_learns_to_rank(run: Run) -> None:
    """Certain words decide the grade, which BM25 cannot know."""
    score = run.scores["validation"]["ndcg_at_10"]
    assert score["value"] > run.baselines["bm25"]["validation"]["ndcg_at_10"]["value"]
    assert set(run.baselines) == {"chance", "bm25"}


def test_grades_have_one_spelling_wherever_they_are_shown(run: Run) -> None:
    rows = pyarrow.parquet.read_table(run.path / "evaluation/validation/predictions.parquet")
    assert set(rows["label"].to_pylist()) == {0.0, 1.0, 2.0}
    findings = json.loads((run.path / "data.json").read_text())["findings"]
    texts = [message["text"] for message in findings["messages"] if "by grade" in message["text"]]
    assert [text.partition(":")[0] for text in texts] == ["training", "validation"]
    grades = [re.findall(r"([^ ]+): \d", text.partition("by grade: ")[2]) for text in texts]
    assert grades == [["0", "1", "2"]] * 2


def test_a_split_is_of_queries(run: Run) -> None:
    content = json.loads((run.path / "data.json").read_text())
    (message,) = [
        m["text"] for m in content["findings"]["messages"] if "values of query, with" in m["text"]
    ]
    assert "the validation split has 20% of the values of query, with all their rows" in message
    rows = pyarrow.parquet.read_table(run.path / "evaluation/validation/predictions.parquet")
    counts = rows["text"].value_counts().to_pylist()
    whole = (run.path.parent / "rankings.csv").read_text().splitlines()
    for count in counts:
        assert sum(line.startswith(count["values"] + ",") for line in whole) == count["counts"]


def test_what_was_scored_is_what_is_served(run: Run) -> None:
    rows = pyarrow.parquet.read_table(
        run.path / "evaluation/validation/predictions.parquet"
    ).to_pylist()
    served = run.predict([row["text"] for row in rows], [row["text_pair"] for row in rows])
    assert [answer["score"] for answer in served] == pytest.approx([row["score"] for row in rows])
    assert served[0].keys() == {"row", "score", "logit", "truncated"}


def test_the_command_line_gives_scores(run: Run, tmp_path: Path) -> None:
    words = ("predict", str(run.path), "--text", "which cat", "--text-pair", "a great story")
    found = json.loads(ran(*words, "--json").out)["predictions"]
    assert found == run.predict(["which cat"], ["a great story"])
    shown = f"{found[0]['score']:.4g}  logit {found[0]['logit']:.4g}"
    assert ran(*words).out.strip() == shown
    file = str(run.path.parent / "rankings.csv")
    evaluated = json.loads(ran("evaluate", str(run.path), "--data", file, "--json").out)
    assert evaluated["scores"]["ndcg_at_10"]["n"] > 10
    out = tmp_path / "scores.csv"
    assert ran("predict", str(run.path), "--data", file, "--output", str(out)).code == 0
    assert "score" in out.read_text().splitlines()[0]


def test_the_report_speaks_of_queries(run: Run) -> None:
    page = (run.path / "report.html").read_text()
    assert "nDCG@10" in page
    assert "BM25" in page
    assert "random order" in page
    assert "ndcg_at_10" not in page.partition("</head>")[2].partition("Every setting")[0]
    assert "Confusion" not in page


def test_the_worst_queries_are_shown(run: Run) -> None:
    path = run.path / "evaluation/validation/predictions.parquet"
    rows = pyarrow.parquet.read_table(path).to_pylist()
    expected = {}
    for query in {row["text"] for row in rows}:
        ranked = sorted((row for row in rows if row["text"] == query), key=lambda r: -r["score"])
        places = [place for place, row in enumerate(ranked, 1) if float(row["label"]) > 0]
        if places and places[0] > 1:
            best = ranked[places[0] - 1]["text_pair"]
            expected[query] = (best, ranked[0]["text_pair"], places[0])
    shown, count = worst_queries(path, most=2)
    assert count == len(expected)
    for best, top, rank in shown:
        assert best["text"] == top["text"]
        assert (best["text_pair"], top["text_pair"], rank) == expected[top["text"]]
    ranks = sorted((rank for *_, rank in expected.values()), reverse=True)
    assert [rank for *_, rank in shown] == ranks[:2]
    _, task = load_task(RunDirectory(run.path))
    assert isinstance(task, ShowsMistakes)
    mistakes = task.mistakes(path, most=2)
    assert mistakes.count == count
    for mistake in mistakes.rows:
        (query,) = mistake.text
        found = mistake.label, mistake.prediction, int(mistake.amount)
        assert found == expected[query.text]


def test_a_query_is_as_bad_as_its_first_relevant_document_is_low(tmp_path: Path) -> None:
    """Two of three queries have a relevant document, neither ranked first; the third has none."""
    table = pyarrow.table(
        {
            "row": [0, 1, 2, 3, 4, 5],
            "file": ["a.csv"] * 6,
            "line": [2, 3, 4, 5, 6, 7],
            "text": ["q", "r", "q", "r", "q", "s"],
            "text_pair": ["d0", "d1", "d2", "d3", "d4", "d5"],
            "label": [0.0, 0.0, 1.0, 2.0, 0.0, 0.0],
            "score": [0.9, 0.8, 0.1, 0.2, 0.5, 0.3],
            "truncated": [False] * 6,
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "p.parquet")
    task = TextRanking(
        DataConfig(train="a.csv", text_pair="document"), "text", "binary-cross-entropy"
    )
    found = task.mistakes(tmp_path / "p.parquet", most=5)
    assert found.count == 2
    mistake, other = found.rows
    assert [segment.text for segment in other.text] == ["r"]
    assert (other.label, other.prediction, other.amount) == ("d3", "d1", "2")
    assert [segment.text for segment in mistake.text] == ["q"]
    assert (mistake.label, mistake.prediction) == ("d2", "d0")
    assert (mistake.amount, mistake.where) == ("3", "a.csv:2")
