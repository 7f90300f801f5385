"""Automatic masks: everything in an image, without prompts."""
