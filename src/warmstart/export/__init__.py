"""ONNX export: write the model, compare it with PyTorch, and keep it only if outputs match."""
