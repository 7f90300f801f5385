"""The vocabulary: prompts, candidates, masks, frames, images. NumPy only; knows no network."""
