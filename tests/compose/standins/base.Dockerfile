# What the official images are made of here: a minimal Debian that trusts what this machine trusts.
FROM scratch
ADD root.tar /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
