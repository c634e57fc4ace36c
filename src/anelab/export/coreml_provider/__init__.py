"""What ONNX Runtime's Core ML provider would take of an ONNX file."""
