"""A trained classifier as ONNX: written, held against PyTorch, and only then kept."""
