"""The generator that comes with the package: made-up people, so that nobody need train one to see the method work."""

from pathlib import Path

DEMO_FILE = Path(__file__).with_name("data") / "demo.pt"
DEMO = "demo"  # what it is called where a checkpoint is asked for
