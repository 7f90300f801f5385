"""ONNX export of torch networks, with a parity check."""
