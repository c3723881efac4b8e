"""The findings of a run that is only checked: those in the data, and those about the weights."""

from dataclasses import replace

from warmstart.data.checking.label_messages import Finding
from warmstart.preparation.prepare import Prepared


def with_model_findings(prepared: Prepared) -> Prepared:
    """The same run; its findings include the sentences about the checkpoint's weights.

    A run logs these sentences as notices, so its own findings do not contain them.

    Args:
        prepared: a run that is only checked.
    """
    said = [Finding("info", text) for text in prepared.about_model()]
    findings = prepared.findings
    return replace(prepared, findings=replace(findings, messages=(*findings.messages, *said)))
