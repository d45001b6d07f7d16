"""How much memory a step takes, and how many pictures fit."""
