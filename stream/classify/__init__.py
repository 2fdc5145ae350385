"""Text to prediction, with no Kafka in it: cache, tokenise, plan, infer, post-process."""
