"""What is done with a champion of splice: tables of windows scored by it."""
