"""The 3DMM in the generator's frame, and who reads faces for Eq. 9."""
