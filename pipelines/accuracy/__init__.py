"""How good labels are: against truth files, made-up bodies, a tracked clip, public benchmarks."""
