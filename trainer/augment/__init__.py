"""Synthetic rows for rare labels, written by a language model behind an OpenAI-compatible endpoint."""
