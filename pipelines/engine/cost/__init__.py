"""What work will take: assumed, remembered from earlier runs, and foretold while it goes on."""
