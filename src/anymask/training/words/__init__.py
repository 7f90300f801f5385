"""Training of the naming model: features are cached once, then both heads train in minutes."""
