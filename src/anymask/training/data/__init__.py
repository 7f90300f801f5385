"""Training data: sampling photos, augmentation, views with masks on the CPU or the GPU."""
