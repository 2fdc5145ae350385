"""Stand-ins for the official images, where Debian, PyPI and Maven Central are reached but no image registry.

They hold Debian's builds of the same programs and honour the same commands, so versions differ in their last
digits. They carry names of their own: nobody takes one for the official image.
"""
