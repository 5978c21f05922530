# docker-keepalived. Build: make image. What is in it and how large: docs/image.md.
#
# The classic builder and BuildKit both build this, for any architecture that Debian and the wheels of requirements.lock exist for.
ARG BASE_IMAGE=debian:trixie-slim

# Debian's packages: installed whole here, and what the image needs of them collected in /rootfs.
FROM ${BASE_IMAGE} AS system
COPY scripts/image-rootfs /usr/local/sbin/
RUN image-rootfs ca-certificates iproute2 keepalived python3 rsyslog rsyslog-gnutls rsyslog-relp

# The Python packages, at the versions and hashes of the lock file; pip stays behind in an environment of its own.
FROM system AS python
# hadolint ignore=DL3008
RUN apt-get install -y --no-install-recommends binutils python3-venv \
    && python3 -m venv /tmp/pip
COPY requirements.lock /tmp/
# /opt/ka is on the path, for the app. Only wheels: a source package would need a compiler. Byte code is made here, because the root file
# system may be read-only at run time, and does not depend on time stamps, which a copy may change.
RUN python3 -m venv --without-pip /opt/ka/venv \
    && /tmp/pip/bin/pip --python /opt/ka/venv/bin/python install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r /tmp/requirements.lock \
    && find /opt/ka/venv/bin -type f -delete \
    && find /opt/ka/venv -depth \( -name tests -o -name '*.py[ixc]' -o -name '*.pxd' -o -name '*.[ch]' -o -name .hash \) -exec rm -r {} + \
    && find /opt/ka/venv -name '*.so' -exec strip --strip-unneeded {} + \
    && for site in /opt/ka/venv/lib/python3*/site-packages; do echo /opt/ka >"$site/ka.pth"; done \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/ka/venv \
    && python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs /rootfs/usr/lib/python3*
COPY LICENSE supervisord.conf /opt/ka/
COPY app /opt/ka/app
RUN chmod -R u=rwX,go=rX /opt/ka/app /opt/ka/supervisord.conf /opt/ka/LICENSE \
    && python3 -m compileall -q --invalidation-mode checked-hash /opt/ka/app \
    && printf '%s\n' '#!/opt/ka/venv/bin/python -I' 'from app.cli import console' '' 'console()' >/usr/local/bin/ka \
    && chmod 755 /usr/local/bin/ka

FROM ${BASE_IMAGE} AS image
COPY --from=python /rootfs/ /
COPY --from=python /opt/ka/venv/ /opt/ka/venv/
COPY --from=python /usr/local/bin/ka /usr/local/bin/
COPY --from=python /opt/ka/LICENSE /opt/ka/supervisord.conf /opt/ka/
COPY --from=python /opt/ka/app/ /opt/ka/app/

# What the image must and must not accept; the final stage needs its result, so a failure here ends the build.
FROM image AS smoke
COPY scripts/image-smoke /usr/local/sbin/
RUN image-smoke >/smoke-test

FROM image
COPY --from=smoke /smoke-test /opt/ka/
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=unknown
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="docker-keepalived" \
      org.opencontainers.image.description="A highly available IP address by VRRP (keepalived), told everything by KA_* environment variables" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
# To PID 1, which gives the VIPs away before it ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=2 CMD ["ka", "health"]
ENTRYPOINT ["ka"]
CMD ["run"]
