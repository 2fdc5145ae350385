"""What a consumer's team may run against a stack that is up: only its addresses are needed.

In the stack: `docker-compose run --rm tests`. From elsewhere: pytest tests/compose/inside with the variables
LABELSTREAM_TEST_BROKER, LABELSTREAM_TEST_REDIS and LABELSTREAM_TEST_WEB.
"""
