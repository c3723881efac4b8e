"""Mistakes with questions, contexts and answers."""

import json
from typing import Any

from tests.answering_runs import articles
from tests.cli.mistakes import Case

ARTICLES = articles(20)
ASK = ("train --task question-answering --model tiny --output run --train squad.json "
       "--text question --text-pair context")  # fmt: skip
ROWS = "question,context,answers,answer_start\n" + "".join(
    f"where is Ada?,Ada {n} is in the red house.,red house,{15 + len(str(n))}\n" for n in range(20)
)
ASK_ROWS = ASK.replace("squad.json", "rows.csv")


def squad(change: str = "", **first: Any) -> dict[str, str | bytes]:
    """SQuAD's file, with other values in its first question; ``change``: a key to remove."""
    content = json.loads(json.dumps({"data": ARTICLES}))
    question = content["data"][0]["paragraphs"][0]["qas"][0]
    question.update(first)
    question.pop(change, None)
    return {"squad.json": json.dumps(content)}


def bad_rows(name: str, old: str, new: str, fault: str = "", **parts: Any) -> Case:
    """Rows of a CSV file, with an error in each row that has ``old``."""
    return Case(name, ASK_ROWS, fault, files={"rows.csv": ROWS.replace(old, new)}, **parts)


ANSWERS = [
    Case("questions without contexts", ASK.replace(" --text-pair context", ""), files=squad(),
         found=("task is question-answering and data.text_pair is not set",),
         expected=("contexts in the column data.text_pair",), do=("--text-pair context",)),
    Case("a file of another form", ASK, files=squad("question"),
         found=("squad.json does not have the form of SQuAD's files", "'question'"),
         expected=('"paragraphs"',), do=("JSON lines",)),
    Case("an answer elsewhere", ASK, files=squad(answers=[{"text": "saw", "answer_start": 0}]),
         found=("squad.json (question 1): the answer 'saw' is not at character 0",),
         expected=("counted in characters from 0",), do=("correct the start: the answer is at",)),
    Case("an impossible question with an answer", ASK, files=squad(is_impossible=True),
         found=("(question 1): the question has the answer", "marked as having none"),
         expected=("is_impossible: true",), do=("set is_impossible to false",)),
    Case("a possible question without an answer", ASK,
         files=squad(answers=[], is_impossible=False),
         found=("(question 1): the question has no answer, and is_impossible is false",),
         expected=("is_impossible: true",), do=("correct this row",)),
    Case("a threshold for nothing", ASK, "--set train.choose_threshold=true", files=squad(),
         found=("every training question has an answer",), expected=("SQuAD 2.0",),
         mends="--set train.choose_threshold=false"),
    Case("windows too short", ASK, "--set model.max_tokens=12", files=squad(),
         found=("model.max_tokens is 12",), expected=("at least 19",),
         mends="--set model.max_tokens=auto"),
    bad_rows("no column of answers", "answers,", "replies,",
             found=("rows.csv has no column 'answers' (data.answers)",),
             expected=("replies",), do=("--set data.answers=COLUMN",)),
    bad_rows("no start", ",16\n", ",there\n",
             found=("rows.csv:2: the answer 'red house' has no start in 'answer_start'",),
             expected=("counted from 0",), do=("--set data.answer_start=COLUMN",)),
    bad_rows("answers that are no answers", "red house,16", "{},16",
             found=("rows.csv:", "the answer '{}' is not at character 16"),
             expected=("a part of its context",), do=("leave this row out",)),
    bad_rows("more answers than starts", "red house,16", '"[""red"", ""house""]",[16]',
             found=("rows.csv:2: 2 answers and 1 start",), expected=("a start for each answer",),
             do=("correct this row",)),
    bad_rows("an object without answers", "red house,16", '"{""a"": 1}",[16]',
             found=("rows.csv:2: the column 'answers' has",), expected=('"answer_start": …',),
             do=("--set data.answers=COLUMN",)),
    bad_rows("a row without an answer", "red house,16\n", ",16\n",
             found=("rows.csv:2: no label in the column 'answers'",), expected=("",),
             do=("--set data.missing=drop",)),
]  # fmt: skip
