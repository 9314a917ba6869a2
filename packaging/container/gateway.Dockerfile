# SPDX-License-Identifier: Apache-2.0
# From the top of the tree: docker build -f packaging/container/gateway.Dockerfile -t fz-gateway .
# docker run --cap-add NET_ADMIN --device /dev/net/tun --sysctl net.ipv4.ip_forward=1 \
#   --sysctl net.ipv4.conf.all.src_valid_mark=1 --sysctl net.ipv6.conf.all.disable_ipv6=0 \
#   --sysctl net.ipv6.conf.all.forwarding=1 --sysctl net.ipv6.conf.default.forwarding=1 \
#   --env-file gateway.env fz-gateway
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc-ares-dev libcap-ng-dev \
    libcurl4-openssl-dev libjansson-dev libmicrohttpd-dev libnl-3-dev libseccomp-dev libssl-dev libwslay-dev meson pkg-config
COPY . /src
RUN meson setup /build /src --prefix=/usr -Dtests=disabled -Ddevportal=disabled -Dman=disabled -Dsystemd=disabled \
    -Dstatic_programs=true && meson compile -C /build fz-gateway && strip /build/bin/fz-gateway/fz-gateway

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libc-ares2 libcap-ng0 libcurl4 \
    libjansson4 libmicrohttpd12 libnl-3-200 libseccomp2 libssl3 libwslay1 nftables && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/bin/fz-gateway/fz-gateway /usr/bin/
COPY packaging/container/entry /usr/bin/
VOLUME /var/lib/firezone
ENTRYPOINT ["/usr/bin/entry"]
CMD ["fz-gateway"]
