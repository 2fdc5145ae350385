"""Record batches from and to Kafka: reading, offset ranges, publishing, and the topics of the routes."""
