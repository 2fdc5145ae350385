"""Export over OTLP. Only these modules import OpenTelemetry, which the extra `otel` installs."""
