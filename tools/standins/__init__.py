"""Derive the stand-ins for licensed body and face models from free data, and what is read to do it."""
