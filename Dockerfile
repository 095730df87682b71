# The image: llm-balancer with the filter inside, Envoy, the libraries that these two load, the CAs that providers are verified against. Nothing else,
# not even a shell. `make image` builds it, and from the last stage on with the programs that are already built, where no registry can be reached.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN make envoy && make build && container/image.sh --trees /image target/release/llm-balancer .tools/envoy/bin/envoy

FROM scratch AS image
# Envoy changes less often, and is nearly all of it: a layer of its own.
COPY --from=build /image/envoy /
COPY --from=build /image/llm-balancer /
LABEL org.opencontainers.image.title="llm-balancer" \
      org.opencontainers.image.description="LiteLLM's config.yaml, served by Envoy" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin
USER 65532:65532
# Clients, and metrics.
EXPOSE 4000 9902
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["llm-balancer", "health"]
ENTRYPOINT ["llm-balancer"]
CMD ["serve", "--config", "/etc/llm-balancer/config.yaml", "--metrics-port", "9902"]
