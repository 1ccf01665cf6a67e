"""Tests of the AWS wing."""
