# Built by `./dev image`, with docker or with buildah.
FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ cmake ninja-build \
        libboost-context1.83-dev libboost-fiber1.83-dev libllhttp-dev libmimalloc-dev python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY include include
COPY lib lib
COPY server server
COPY bench/load bench/load
# The arena builds on the machine it measures; pass a plain one (x86-64-v3) for an image that travels.
ARG MARCH=native
ARG OPTIONS="-DCOIR_MARCH=${MARCH} -DCOIR_BUILD_BENCH=OFF -DCOIR_WERROR=OFF"
# A first one does what the arena asks, and records it; the second is optimised by that.
RUN cmake --preset train ${OPTIONS} && cmake --build --preset train --target coir-server \
    && bench/load/train --profile build/profile build/train/server/coir-server
RUN cmake --preset trained ${OPTIONS} && cmake --build --preset trained --target coir-server \
    && strip build/trained/server/coir-server
# The program, and the shared objects that it is linked to, each at its own path.
RUN mkdir -p /image/usr/local/bin \
    && cp build/trained/server/coir-server /image/usr/local/bin/ \
    && ldd build/trained/server/coir-server | grep -o '/[^ ]*' | xargs cp -L --parents -t /image

FROM scratch
COPY --from=build /image /
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/coir-server"]
