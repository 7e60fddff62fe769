"""What ``onnx_latency.py`` measures: networks to export, a browser that runs their files, memory of a process."""
