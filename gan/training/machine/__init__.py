"""What a step asks of the machine: memory, and waiting for it."""
