"""ONNX files of trained networks with what is known of them: read, checked and run with onnxruntime alone."""
