"""Handwritten digits: the classic, small enough to read in one sitting."""
