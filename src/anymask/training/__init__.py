"""Training: data, augmentation, the simulated annotator, losses, the loop, recipes."""
