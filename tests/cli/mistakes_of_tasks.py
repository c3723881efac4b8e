"""Mistakes with new models, rankings, numbers and several labels."""

import re
from typing import Any

from tests.cli.mistakes import DATA, TRAIN, Case, empty_corpus

NEW = (
    "pretrain: {architecture: bert, size: tiny, vocabulary: 60, context: 32}\n"
    "data: {train: rows.csv, validation: 0.2}\n"
)
NEW_FILES = {"new.yaml": NEW}
PRETRAIN = "pretrain new.yaml --output run"


def bad_model(name: str, fault: str, **parts: Any) -> Case:
    """A new model that cannot be created."""
    return Case(name, PRETRAIN, fault, files=NEW_FILES, **parts)


NEW_MODELS = [
    bad_model("a vocabulary the rows do not give", "--set pretrain.vocabulary=9999",
              found=("pretrain.vocabulary is 9999, but the training rows give",),
              expected=("at least twice",), do=("--set pretrain.vocabulary=", "more text")),
    bad_model("a vocabulary without every byte",
              "--set pretrain.architecture=gpt2 --set pretrain.vocabulary=256",
              found=("pretrain.vocabulary is 256",), expected=("257 or more",),
              do=("--set pretrain.vocabulary=8192",)),
    bad_model("heads that do not divide the width", "--set pretrain.heads=3",
              found=("pretrain.hidden is 128 and pretrain.heads is 3",),
              expected=("a multiple",), mends="--set pretrain.heads=2"),
    bad_model("an unknown size", "--set pretrain.size=huge", found=("pretrain.size is huge",),
              expected=('"tiny", "mini" or "small"',), mends="--set pretrain.size=mini"),
    bad_model("no context", "--set pretrain.context=0", found=("pretrain.context is 0",),
              expected=("a whole number ≥ 3",), mends="--set pretrain.context=512"),
    bad_model("more tokens than the context", "--set model.max_tokens=33",
              found=("but the new model accepts at most 32",), expected=("3 to 32",),
              mends="--set model.max_tokens=32"),
    bad_model("a decoder that is to classify", "--set pretrain.architecture=gpt2 "
              "--set pretrain.vocabulary=280", found=("is gpt2, and the task is text-class",),
              expected=("bert for this task",), do=("--set pretrain.architecture=bert",)),
    bad_model("a checkpoint beside a new model", "--set model.name=tiny",
              found=("model.name is tiny, but the `pretrain`",), expected=("one of the two",),
              do=("remove model.name", "warmstart train CONFIG")),
    bad_model("an empty corpus", "--set data.train=none.jsonl", make=empty_corpus,
              found=("none.jsonl is empty",), expected=("at least one row",), do=("completely",)),
    bad_model("a corpus without a text column", "--set data.text=body",
              found=("rows.csv has no column 'body'",), expected=("one of: text, label",),
              do=("--set data.text=COLUMN",)),
    Case("training what is to be pretrained", "train new.yaml --output run", files=NEW_FILES,
         found=("has a `pretrain` section",), expected=("`warmstart pretrain` for a new model",),
         do=("warmstart pretrain CONFIG",)),
    Case("nothing to make", "pretrain demo", found=("has no `pretrain` section",),
         expected=("its architecture, its size",), do=("--set pretrain.size=mini", "train CONFIG")),
    Case("pretraining over a run", "pretrain new.yaml", "--output done", files=NEW_FILES,
         found=("done already contains a finished run",), expected=("a new or empty folder",),
         mends="--output done-2"),
    Case("pretrain without a config", "pretrain", found=("nothing to pretrain",), code=2,
         expected=("a config file",), do=("pretrain: {size: mini}", "warmstart pretrain CONFIG")),
    Case("pretrain --resume with others", "pretrain done --resume --dry-run", code=2,
         found=("--resume with --dry-run",), expected=("its own settings",),
         do=("warmstart train done --resume",)),
]  # fmt: skip

NUMBERS = f"{DATA} --task text-regression --train n.csv"
NUMBER_ROWS = "text,label\n" + "".join(f"the cat {n} sat,{n / 4}\n" for n in range(20))
SEVERAL = f"{DATA} --task multi-label-classification --train m.csv"
SEVERAL_ROWS = "text,label,rude,spam\n" + "".join(
    f"the cat {n} sat,{('rude|spam', 'rude', '')[n % 3]},{int(n % 3 < 2)},{int(n % 3 == 0)}\n"
    for n in range(21)
)


DOCUMENTS = f"{DATA} --task next-sentence --train d.csv"


def bad_documents(name: str, rows: str, fault: str = "", **parts: Any) -> Case:
    """Documents whose segments cannot be paired."""
    return Case(name, DOCUMENTS, fault, files={"d.csv": rows, "v.csv": rows + " \n"}, **parts)


def bad_number(name: str, fault: str = "", rows: str = NUMBER_ROWS, **parts: Any) -> Case:
    """A regression that cannot be learned."""
    return Case(name, NUMBERS, fault, files={"n.csv": rows}, **parts)


def bad_labels(name: str, fault: str = "", rows: str = SEVERAL_ROWS, **parts: Any) -> Case:
    """Several labels that cannot be learned."""
    return Case(name, SEVERAL, fault, files={"m.csv": rows}, **parts)


PROBLEMS = [
    bad_number("a label that is no number", rows=NUMBER_ROWS + "the dog,many\n",
               found=("n.csv:22: the column label has 'many'",), expected=("a number, such as 3",),
               do=("--label COLUMN", "--task text-classification")),
    bad_number("a label that is infinite", rows=NUMBER_ROWS + "the dog,inf\n",
               found=("n.csv:22: the column label has 'inf'",), expected=("a number",),
               do=("correct it",)),
    bad_number("one number only", rows="text,label\n" + "a b,2\n" * 5,
               found=("training rows have 2 in the column label",), do=("data.train",),
               expected=("different numbers",)),
    bad_number("a threshold for numbers", "--set train.choose_threshold=true",
               found=("train.choose_threshold is set, and text-regression does not read it",),
               expected=("is read by text-classification, multi-label-classification",),
               do=("remove train.choose_threshold", "task: text-classification"), removing=True),
    bad_number("class weights for numbers", "--set train.class_weights=balanced",
               found=("train.class_weights is set, and text-regression does not read it",),
               expected=("is read by text-classification, multi-label-classification",),
               do=("remove train.class_weights",), removing=True),
    bad_number("a loss of classes for numbers", "--set train.loss=cross-entropy",
               found=("train.loss is cross-entropy and task is text-regression",),
               expected=("one of: squared-error",), mends="--set train.loss=squared-error"),
    bad_documents("documents of one sentence", "text\n" + "The cat sat here.\n" * 9,
                  found=("data.train has 9 documents, and none of them has two sentences "
                         "(first: d.csv:2)",), expected=("whole documents",),
                  do=("data.text names the column", "separated by line breaks")),
    bad_documents("a single document", "text\nThe cat sat. It was old. We saw it.\n",
                  "--validation v.csv --set data.segment_characters=5",
                  found=("data.train: all 2 pairs of a split are from one document (d.csv:2)",),
                  expected=("at least two documents",),
                  do=("add documents", "cut a long document")),
    bad_documents("documents beside second segments",
                  "text,next_text\n" + "The cat sat. It was old.,We saw it.\n" * 30,
                  found=("d.csv has a column 'next_text', the value of data.text_pair",),
                  expected=("the task itself cuts them",), do=("task=text-classification",),
                  mends="--text-pair next_text_drawn"),
    Case("a setting of another task", f"{TRAIN} --set data.label=label", "--task fill-mask",
         found=("data.label is set, and fill-mask does not read it",),
         expected=("is read by text-classification, multi-label",), do=("remove data.label",)),
    Case("an unknown task", TRAIN, "--task multilabel", found=("task is multilabel",),
         expected=("text-classification, multi-label-classification",),
         mends="--task multi-label-classification"),
    Case("the setting problem, which is gone", TRAIN, "--set problem=regression",
         found=("problem is not a setting",), expected=("a known setting",),
         do=("remove it",), removing=True),
    Case("ONNX of a fill-mask", f"{TRAIN} --task fill-mask", "--set export.onnx=true",
         found=("export.onnx is set, and fill-mask does not read it",),
         expected=("is read by text-classification",), do=("remove export.onnx",), removing=True),
    Case("8 bits of a decoder", f"{TRAIN} --task text-generation",
         "--set export.onnx=true --set export.int8=true",
         found=("export.int8 is set, and text-generation does not read it",),
         expected=("is read by text-classification",), do=("remove export.int8",)),
    Case("a separator for one label", TRAIN, "--set data.label_separator=,",
         found=("data.label_separator is set, and text-classification does not read it",),
         expected=("is read by multi-label-classification",),
         do=("remove data.label_separator", "task: multi-label-classification"),
         removing=True),
    Case("columns of labels for one label", TRAIN, "--set data.label_columns=[text]",
         found=("data.label_columns is set, and text-classification does not read it",),
         expected=("is read by multi-label-classification",),
         do=("remove data.label_columns", "task: multi-label-classification"),
         removing=True),
    bad_labels("a column of labels that is not there", "--set data.label_columns=[rude,span]",
               found=("m.csv has no column 'span'",), expected=("text, label, rude, spam",),
               do=("--set data.label_columns=spam",)),
    bad_labels("a column of labels given twice", "--set data.label_columns=[rude,rude]",
               found=("data.label_columns has rude more than once",), do=("rename one rude",),
               expected=("a different name",)),
    bad_labels("neither 0 nor 1", "--set data.label_columns=[rude,spam]",
               rows=SEVERAL_ROWS + "hello,,2,0\n", expected=("1 if the label applies",),
               found=("m.csv:23: the column 'rude' has '2'",),
               do=("data.label_columns=null",)),
    bad_labels("a missing 0 or 1", "--set data.label_columns=[rude,spam]",
               rows=SEVERAL_ROWS + "hello,,,0\n", expected=("a label in every row",),
               found=("m.csv:23: no label in the column 'rude, spam'",),
               do=("--set data.missing=drop",)),
    Case("a name that is too long", f"check {'x' * 300}.csv --text text",
         found=("cannot be the name of a file: file name too long",)),
    Case("a very long name", f"train --model tiny --output run --train {'x' * 5000}.csv",
         found=("cannot be the name of a file: file name too long",)),
    Case("a run whose name is too long", f"predict {'x' * 5000} --text nice",
         found=("cannot be the name of a file: file name too long",)),
    Case("an output whose name is too long", f"train --train rows.csv --output {'x' * 5000}",
         found=("cannot be the name of a file: file name too long",)),
    Case("a setting for a model", "info bundled/minilm-l6 --set data.limit=5",
         found=("--set data.limit=5, but bundled/minilm-l6 is not a config",),
         expected=("--set only together with a config or recipe",),
         do=("warmstart info bundled/minilm-l6",), code=2),
    Case("labels for a config", "info cola-offline --labels 3",
         found=("--labels 3, but cola-offline is a config",), expected=("Hub id or folder",),
         do=("warmstart info cola-offline",), code=2),
    Case("a folder of an unknown user", "check ~nobody-here/x.csv --text text",
         found=("~nobody-here/x.csv does not exist",)),
    Case("a device", f"{DATA} --train /dev/zero --set data.format=csv",
         found=("/dev/zero is a device, not a file",), do=("save the rows to a file",)),
    bad_labels("the same labels everywhere", rows="text,label\n" + "a b,x|y\n" * 5,
               found=("training rows have the labels 'x', 'y' and no others",), do=("data.train",),
               expected=("rows with different labels",)),
    Case("a label that training has not", SEVERAL, "--validation new.csv",
         files={"m.csv": SEVERAL_ROWS, "new.csv": "text,label,rude,spam\nhi,rude|x,1,0\n"},
         found=("new.csv:2: no training row has the label 'x'",), expected=("'rude', 'spam'",),
         do=("data.validation",)),
]  # fmt: skip

PAIRS = "query,title,label\n" + "".join(
    f"which cat {n // 4},a story {n},{int(n % 4 == 0)}\n" for n in range(40)
)
RANK = ("train --task text-ranking --model tiny --output run --train pairs.csv --text query "
        "--text-pair title")  # fmt: skip


def bad_ranking(name: str, fault: str = "", rows: str = PAIRS, **parts: Any) -> Case:
    """Queries and documents that cannot be ranked as they are."""
    return Case(name, RANK, fault, files={"pairs.csv": rows}, **parts)


RANKING = [
    Case("a ranking of queries alone", "train --task text-ranking --model tiny --output run "
         "--train pairs.csv --text query", files={"pairs.csv": PAIRS},
         found=("task is text-ranking and data.text_pair is not set",),
         expected=("documents in the column data.text_pair",), do=("--text-pair DOCUMENTS",)),
    bad_ranking("an empty title", rows=PAIRS.replace(",a story 7,", ",,"),
                found=("pairs.csv:9: the column 'title' (data.text_pair) is empty",),
                expected=("",),
                do=("--set data.missing=drop",)),
    bad_ranking("words for grades", rows=PAIRS.replace(",1\n", ",yes\n"),
                found=(": the column label has 'yes'",),
                expected=("0 if not relevant",), do=("write 0 and 1",)),
    bad_ranking("a grade for a binary loss", rows=PAIRS.replace("story 0,1", "story 0,3"),
                found=("pairs.csv:2: the column label has the grade 3",),
                expected=("0 or 1",), do=("--set train.loss=listwise",)),
    bad_ranking("one grade", rows=PAIRS.replace(",1\n", ",0\n"),
                found=("training rows have the relevance 0",), expected=("non-relevant",),
                do=("--label COLUMN",)),
    bad_ranking("one query", rows=re.sub(r"cat \d", "cat 0", PAIRS),
                found=("data.validation=0.1 of 1 group",), expected=("",), do=("",)),
    bad_ranking("a loss of another task", "--set train.loss=focal",
                found=("train.loss is focal and task is text-ranking",),
                expected=("binary-cross-entropy",), mends="--set train.loss=binary-cross-entropy"),
    bad_ranking("weights of classes", "--set train.class_weights=balanced",
                found=("train.class_weights is set, and text-ranking does not read it",),
                expected=("is read by text-classification, multi-label-classification",),
                do=("remove train.class_weights",), removing=True),
    bad_ranking("nothing to compare", "--set train.loss=pairwise --set data.group=title",
                found=("no title has documents of different relevance",),
                expected=("this loss compares",), do=("--set train.loss=binary-cross-entropy",)),
    bad_ranking("no room for the title", "--set model.max_tokens=6 "
                "--set data.truncation=second_only", found=("the first text alone has",),
                expected=("room for the second text",),
                do=("--set data.truncation=longest_first",)),
]  # fmt: skip
