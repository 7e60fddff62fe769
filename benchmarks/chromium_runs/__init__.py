"""What runs in Chromium without a window: the page, and single ONNX files."""
