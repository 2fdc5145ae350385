"""The record pipeline: decode, classify, publish, acknowledge."""
