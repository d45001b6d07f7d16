"""What runs a DAG of stages: plan, driver, tasks, and what stands on disk of it."""
