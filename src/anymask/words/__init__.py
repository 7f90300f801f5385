"""Words as prompts: what a phrase means, and what pixels say about it."""

from anymask.words.phrase import Phrase, understand
from anymask.words.vocabulary import Resolved, Vocabulary, default_vocabulary

__all__ = ["Phrase", "Resolved", "Vocabulary", "default_vocabulary", "understand"]
