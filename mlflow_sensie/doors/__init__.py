"""The ways in: MLflow's evaluator, the checks before promotion, the command line."""
