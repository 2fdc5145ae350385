"""All code that subclasses or patches Faust, mode or aiokafka, or uses a private name of these libraries."""
