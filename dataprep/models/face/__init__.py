"""Linear face models of Deep3DFaceRecon's schema."""
