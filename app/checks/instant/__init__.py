"""Instant notice: a target that may just have died is asked at once. What says so is never a verdict by itself."""
