"""Fine-tuning of text classifiers, and their export to verified ONNX bundles."""
