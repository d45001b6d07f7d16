"""Developer tools: derive the free-tier models and render the sample people. Never imported by the pipeline."""
