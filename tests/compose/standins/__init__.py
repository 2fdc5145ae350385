"""Stand-ins for the official images, for machines with Debian, PyPI and Maven Central but no image registry.

They contain Debian's builds of the same programs and accept the same commands; the versions differ in the
last digits. Their names distinguish them from the official images.
"""
