"""The networks. torch only; knows no files (but weights), no images, no prompts of the public API."""
