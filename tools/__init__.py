"""For developers, from a checkout: not in the wheel, never imported by the packages."""
