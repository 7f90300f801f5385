"""Training tasks: interactive masks, boxes and edges, with their losses and the simulated annotator."""
