"""Trained networks as ONNX files that are proved equal before they are written."""
