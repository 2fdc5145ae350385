# In place of apache/kafka: the same release, its jars from Maven Central.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
 && mkdir -p /usr/share/man/man1 \
 && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 1000 --create-home appuser \
 && mkdir -p /opt/kafka/config /var/lib/kafka/data \
 && chown appuser:appuser /opt/kafka/config /var/lib/kafka/data
COPY libs /opt/kafka/libs
COPY kafka-run /etc/kafka/docker/run
USER appuser
EXPOSE 9092
CMD ["bash", "/etc/kafka/docker/run"]
