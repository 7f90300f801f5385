"""The data engine: people and model make each other better (paper, section 4)."""
