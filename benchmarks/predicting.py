"""Other ways of answering strings with a trained classifier, in batches of 32 unless said."""

from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.peers import quiet
from benchmarks.window import Window


def transformers_pipeline(setup: Setup, window: Window, *, batch_size: int = 32) -> Row:
    """``transformers.pipeline`` over a list of strings.

    Args:
        setup: texts and checkpoint.
        window: what is timed.
        batch_size: of the pipeline; 1 is its default.
    """
    from transformers import pipeline

    quiet()
    classify = pipeline("text-classification", model=str(setup.checkpoint), device="cpu")
    window.watch(classify.model, training=False)
    window.start()
    answers = classify(list(setup.train.texts), batch_size=batch_size)
    window.finish()
    chances = [one["score"] if one["label"] == "1" else 1 - one["score"] for one in answers]
    return {"mean_probability": sum(chances) / len(chances)}


def cross_encoder(setup: Setup, window: Window) -> Row:
    """``CrossEncoder.predict``, which takes pairs: every text is paired with nothing.

    Args:
        setup: texts and checkpoint.
        window: what is timed.
    """
    from sentence_transformers import CrossEncoder

    quiet()
    model = CrossEncoder(str(setup.checkpoint), max_length=setup.max_tokens, device="cpu")
    window.watch(model, training=False, added=1)
    window.start()
    model.predict([(text, "") for text in setup.train.texts], batch_size=32, apply_softmax=True)
    window.finish()
    return {}
