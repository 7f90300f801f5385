"""What lies on disk: records of images with masks. No torch."""
