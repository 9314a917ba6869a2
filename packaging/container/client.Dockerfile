# SPDX-License-Identifier: Apache-2.0
# From the top of the tree: docker build -f packaging/container/client.Dockerfile -t fz-client .
# docker run --cap-add NET_ADMIN --device /dev/net/tun --env-file client.env fz-client
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc-ares-dev libcap-ng-dev \
    libcurl4-openssl-dev libjansson-dev libmicrohttpd-dev libnl-3-dev libseccomp-dev libssl-dev libwslay-dev meson pkg-config
COPY . /src
RUN meson setup /build /src --prefix=/usr -Dtests=disabled -Ddevportal=disabled -Dman=disabled -Dsystemd=disabled \
    -Dstatic_programs=true && meson compile -C /build fz-client && strip /build/bin/fz-client/fz-client

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libc-ares2 libcap-ng0 libcurl4 \
    libjansson4 libmicrohttpd12 libnl-3-200 libseccomp2 libssl3 libwslay1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/bin/fz-client/fz-client /usr/bin/
COPY packaging/container/entry /usr/bin/
# What a container's resolv.conf holds is replaced while the client runs.
ENV FIREZONE_DNS_CONTROL=etc-resolv-conf
VOLUME /var/lib/dev.firezone.client
ENTRYPOINT ["/usr/bin/entry"]
CMD ["fz-client"]
