"""The ratio table of the design: `python -m tests.bench [--quick] [--database URL]`."""
