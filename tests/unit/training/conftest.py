from cue_corpus import config, corpus

__all__ = ["config", "corpus"]
