"""What a run will cost, told before it begins: `shhq-hs train --plan`.

counted_work.py   counts products and bytes of whatever runs while it listens, on torch's meta device
picture_work.py   what one picture of a preset asks for, network by network
named_gpus.py     datasheet figures of GPUs, and how long counted work takes there
gpu_check.py      what `make check-gpu` found on a real one: read and written
training_cost.py  all of it together: pictures, steps, bytes, TFLOP, hours
"""
