# The image: llm-balancer with the filter inside, Envoy, their shared libraries, and the CA bundle.
# No shell. `make image` builds it, from the last stage only and with programs that are already
# built, so that no registry is needed.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN make envoy && make build && container/image.sh --trees /image target/release/llm-balancer .tools/envoy/bin/envoy

FROM scratch AS image
# A layer for Envoy, which is nearly all of the image and changes less often.
COPY --from=build /image/envoy /
COPY --from=build /image/llm-balancer /
LABEL org.opencontainers.image.title="llm-balancer" \
      org.opencontainers.image.description="LiteLLM's config.yaml, served by Envoy" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin
USER 65532:65532
# For clients, and for metrics.
EXPOSE 4000 9902
STOPSIGNAL SIGTERM
# The port for metrics has no limit of connections.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["llm-balancer", "health", "--port", "9902"]
ENTRYPOINT ["llm-balancer"]
CMD ["serve", "--config", "/etc/llm-balancer/config.yaml", "--metrics-port", "9902"]
