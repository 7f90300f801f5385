"""Training of the naming model: features are cached once, then the heads train in minutes."""
