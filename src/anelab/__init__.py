"""Train small models, ship them as ONNX and Core ML, and know with evidence what runs best."""

__version__ = "0.1.0"
