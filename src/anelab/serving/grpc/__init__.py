"""The Open Inference Protocol over gRPC. open_inference_pb2.py is made of open_inference.proto by `make proto`."""
