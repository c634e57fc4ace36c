"""A workload that stresses the interface: two inputs, a loss over the whole batch with cached gradients,
calibration after training, a context beside the rows, and an index beside the model."""
