"""From labelled texts to a bundle whose ONNX graph is proven to say what the trained model says."""
