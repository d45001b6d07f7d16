"""The networks of the paper: M, phi, U, D_p, D_e, the layers they share, and the critics."""
