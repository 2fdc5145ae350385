"""How good the trained classifiers are on published data: the real command, judged and reported."""
