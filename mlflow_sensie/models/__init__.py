"""Whatever predicts, behind one call; what its answers mean."""
