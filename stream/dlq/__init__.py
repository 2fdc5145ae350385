"""Dead letters in their topic: selection, display, replay, and files for editing."""
