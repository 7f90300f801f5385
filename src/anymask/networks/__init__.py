"""Networks in torch. They know weights files, no images and no prompts of the public API."""
