"""Machine code for inference on a CPU: what torch does in many passes or slowly."""
