"""What can be timed: arms, behind one contract."""
