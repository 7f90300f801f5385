"""Words as prompts: what a phrase means, where it is in a photo, and what a mask is called."""

from anymask.words.phrase import Phrase, understand
from anymask.words.vocabulary import Resolved, Vocabulary, default_vocabulary

__all__ = ["Phrase", "Resolved", "Vocabulary", "default_vocabulary", "understand"]
