"""Using a network: backends, the predictor, export, the zoo of models."""
