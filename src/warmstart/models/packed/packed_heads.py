"""Heads: the modules above the last layer, called only on the tokens that a head reads.

Which tokens a head reads is in ``READS`` (``checkpoints.configuration``):

- ``first`` (sequence classification, next sentence): the vector of each row, [B, 1, H], to logits
  [B, C];
- ``asked`` (token classification, question answering): the hidden states of some tokens, [A, H], to
  logits [A, C];
- ``every`` (language models): hidden states [N, H] to [N, H], up to the output layer, which
  ``token_logits`` runs in chunks. Fill-mask needs 15 % of the tokens, and the output layer, with
  one row per token of the vocabulary, costs as much as all layers of a small encoder together;
- ``both`` (BERT's pretraining): a head that reads every token and one that reads the first ones.

Letters: B rows, A tokens in ``batch.asked``, N tokens with a target, H hidden width, C classes.

Source: the ``forward`` of each family's ``...ForSequenceClassification``,
``...ForTokenClassification``, ``...ForQuestionAnswering`` and ``...ForMaskedLM`` in Transformers.
"""

from torch import Tensor, nn

from warmstart.models.packed.body import Model


def pooled_classifier(model: Model, rows: Tensor) -> Tensor:
    """BERT's sequence classifier: the body's pooler, dropout, a linear layer; [B, C]."""
    logits: Tensor = model.classifier(model.dropout(model.base_model.pooler(rows)))
    return logits


def dense_classifier(model: Model, rows: Tensor) -> Tensor:
    """RoBERTa's and ELECTRA's sequence classifier; it selects the first token itself; [B, C]."""
    logits: Tensor = model.classifier(rows)
    return logits


def distilbert_classifier(model: Model, rows: Tensor) -> Tensor:
    """DistilBERT's sequence classifier, [B, C]."""
    hidden = nn.functional.relu(model.pre_classifier(rows[:, 0]))  # [B, 1, H] to [B, H]
    logits: Tensor = model.classifier(model.dropout(hidden))
    return logits


def modernbert_classifier(model: Model, rows: Tensor) -> Tensor:
    """ModernBERT's sequence classifier, [B, C]."""
    logits: Tensor = model.classifier(model.drop(model.head(rows[:, 0])))  # [B, 1, H] to [B, H]
    return logits


def plain_token_classifier(model: Model, states: Tensor) -> Tensor:
    """The token classifier of every family but ModernBERT: dropout, a linear layer; [A, C]."""
    logits: Tensor = model.classifier(model.dropout(states))
    return logits


def modernbert_token_classifier(model: Model, states: Tensor) -> Tensor:
    """ModernBERT's head for tags or for answers, after the last norm of the body; [A, C]."""
    hidden = model.head(model.base_model.final_norm(states))
    logits: Tensor = model.classifier(model.drop(hidden))
    return logits


def next_sentence(model: Model, rows: Tensor) -> Tensor:
    """BERT's next-sentence head: the body's pooler, a linear layer; [B, 2]."""
    logits: Tensor = model.cls.seq_relationship(model.base_model.pooler(rows))
    return logits


def plain_span_head(model: Model, states: Tensor) -> Tensor:
    """Start and end of an answer in most families: a linear layer; [A, 2]."""
    logits: Tensor = model.qa_outputs(states)
    return logits


def distilbert_span_head(model: Model, states: Tensor) -> Tensor:
    """Start and end of an answer in DistilBERT: dropout, a linear layer; [A, 2]."""
    logits: Tensor = model.qa_outputs(model.dropout(states))
    return logits


def output_layer(model: Model) -> nn.Linear:
    """The output layer of a language model, H to V; it may share its weight with the embedding."""
    layer: nn.Linear = model.get_output_embeddings()
    return layer


def no_transform(model: Model, states: Tensor) -> Tensor:
    """Decoders: the output layer follows the last norm directly; [N, H]."""
    return states


def bert_transform(model: Model, states: Tensor) -> Tensor:
    """BERT's masked-language-model head up to its output layer, [N, H]."""
    out: Tensor = model.cls.predictions.transform(states)
    return out


def roberta_transform(model: Model, states: Tensor) -> Tensor:
    """RoBERTa's masked-language-model head up to its output layer, [N, H]."""
    head = model.lm_head
    out: Tensor = head.layer_norm(nn.functional.gelu(head.dense(states)))
    return out


def electra_transform(model: Model, states: Tensor) -> Tensor:
    """ELECTRA's masked-language-model head up to its output layer, [N, E]; E: embedding width."""
    out: Tensor = model.generator_predictions(states)
    return out


def distilbert_transform(model: Model, states: Tensor) -> Tensor:
    """DistilBERT's masked-language-model head up to its output layer, [N, H]."""
    out: Tensor = model.vocab_layer_norm(model.activation(model.vocab_transform(states)))
    return out


def modernbert_transform(model: Model, states: Tensor) -> Tensor:
    """The last norm and ModernBERT's masked-language-model head up to its output layer, [N, H]."""
    out: Tensor = model.head(model.base_model.final_norm(states))
    return out
