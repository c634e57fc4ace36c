"""The Neural Engine's arithmetic, operator by operator, for `--mode ane`."""
