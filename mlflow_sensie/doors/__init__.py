"""The ways in: MLflow's evaluator and Datasets, the checks before promotion, the command line."""
