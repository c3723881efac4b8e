"""Find the parts of a model that its checkpoint lacks, by the names in its weight files."""

from warmstart.models.checkpoints.configuration import skeleton
from warmstart.models.checkpoints.load import Checkpoint


def new_parts(checkpoint: Checkpoint) -> list[str]:
    """Notices about parts that a masked language model and its checkpoint do not have in common.

    Args:
        checkpoint: Its weights are already on disk.

    Returns:
        One sentence about a new head, one about a dropped pooler, if they apply; none for other
        heads, and none if the weights are pickles, whose names are unknown until they are opened.
    """
    names = _weight_names(checkpoint)
    if checkpoint.head != "masked-lm" or not names:
        return []
    model = skeleton(checkpoint.config, checkpoint.head)
    head = {name for name, _ in model.named_children()} - {model.base_model_prefix}
    said = []
    if not any(name.split(".")[0] in head for name in names):
        tied = "; its output layer is the word embedding" * bool(model.all_tied_weights_keys)
        said.append(f"{checkpoint.name} has no masked-language-model head: it starts new{tied}")
    if any("pooler" in name.split(".") for name in names):
        said.append(
            f"{checkpoint.name} has a pooler, which fill-mask does not train and model/ does not "
            "contain: a classifier that starts from this run's model gets a new one"
        )
    return said


def lacks_pooler(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint's weights are known to have no pooler, so that the model's is new.

    Args:
        checkpoint: Its weights are already on disk.
    """
    names = _weight_names(checkpoint)
    return bool(names) and not any("pooler" in name.split(".") for name in names)


def _weight_names(checkpoint: Checkpoint) -> list[str]:
    """The names in the weight files; none if one of them is a pickle or not downloaded yet."""
    from safetensors import safe_open

    if any(path.suffix != ".safetensors" or not path.exists() for path in checkpoint.weight_paths):
        return []
    names: list[str] = []
    for path in checkpoint.weight_paths:
        with safe_open(path, framework="np") as file:
            names += file.keys()
    return names
