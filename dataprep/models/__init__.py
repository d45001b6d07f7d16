"""Models the stages use: detectors, super-resolution, matting, body and face models. None of them knows about stages."""
