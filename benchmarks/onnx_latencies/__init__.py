"""What ``onnx_latency.py`` measures: networks to export, and the memory of a process."""
