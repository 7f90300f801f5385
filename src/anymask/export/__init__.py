"""A torch network as ONNX graphs, with proof that they answer alike."""
