"""One module for each DVC stage: reads the configuration, calls the packages, writes files."""
