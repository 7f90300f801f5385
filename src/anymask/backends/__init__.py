"""Running a network: one protocol, and who speaks it (ONNX Runtime, OpenVINO, torch, a fake)."""
