"""Other tools for predicting texts with a trained classifier; by default in batches of 32."""

from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.peers import quiet
from benchmarks.window import Window


def transformers_pipeline(setup: Setup, window: Window, *, batch_size: int = 32) -> Row:
    """``transformers.pipeline`` over a list of strings.

    Args:
        setup: texts and checkpoint.
        window: measures the prediction.
        batch_size: batch size of the pipeline, whose own default is 1.
    """
    from transformers import pipeline

    quiet()
    classify = pipeline("text-classification", model=str(setup.checkpoint), device="cpu")
    window.watch(classify.model, training=False)
    window.start()
    outputs = classify(list(setup.train.texts), batch_size=batch_size)
    window.finish()
    probabilities = [one["score"] if one["label"] == "1" else 1 - one["score"] for one in outputs]
    return {"mean_probability": sum(probabilities) / len(probabilities)}


def cross_encoder(setup: Setup, window: Window) -> Row:
    """``CrossEncoder.predict``, which accepts only pairs: the second text is empty.

    Args:
        setup: texts and checkpoint.
        window: measures the prediction.
    """
    from sentence_transformers import CrossEncoder

    quiet()
    model = CrossEncoder(str(setup.checkpoint), max_length=setup.max_tokens, device="cpu")
    window.watch(model, training=False, added=1)
    window.start()
    model.predict([(text, "") for text in setup.train.texts], batch_size=32, apply_softmax=True)
    window.finish()
    return {}
