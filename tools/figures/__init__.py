"""Draw the pictures of README.md and docs/."""
