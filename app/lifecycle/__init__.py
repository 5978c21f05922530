"""Brings a plan to the machine: start, check, reload, and keepalived's own test."""
