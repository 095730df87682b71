//! The messages of which clusters consist: their fields, as far as this crate renders them, with
//! the numbers of Envoy's API v3, in which a number never changes.

/// The fields of a message.
pub(super) type Message = &'static [(&'static str, u64, FieldType)];

/// The type of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldType {
    Text,
    /// `uint32`
    Number,
    Bool,
    Enum(&'static [(&'static str, u64)]),
    /// `google.protobuf.BoolValue`
    BoolValue,
    /// `google.protobuf.UInt32Value`
    UInt32Value,
    /// `google.protobuf.Duration`
    Duration,
    Message(Message),
    /// `google.protobuf.Any`
    Any,
    /// `map<string, google.protobuf.Any>`
    AnyMap,
    /// `map<string, google.protobuf.Struct>`
    StructMap,
}

/// The types that `@type` names.
pub(super) const ANY_TYPES: &[(&str, Message)] = &[
    ("envoy.config.cluster.v3.Cluster", CLUSTER),
    ("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", UPSTREAM_HTTP),
    ("envoy.extensions.clusters.dns.v3.DnsCluster", DNS_CLUSTER),
    (
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
        INTERNAL_UPSTREAM_TRANSPORT,
    ),
    ("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", RAW_BUFFER),
    ("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", UPSTREAM_TLS_CONTEXT),
    ("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", HEADER_MUTATION),
    ("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec", UPSTREAM_CODEC),
    ("envoy.extensions.filters.http.wasm.v3.Wasm", WASM),
    ("envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter", DYNAMIC_MODULE_FILTER),
];

/// `envoy.config.cluster.v3.Cluster`
pub(super) const CLUSTER: Message = &[
    ("name", 1, FieldType::Text),
    ("connect_timeout", 4, FieldType::Duration),
    ("circuit_breakers", 10, FieldType::Message(CIRCUIT_BREAKERS)),
    ("transport_socket", 24, FieldType::Message(TRANSPORT_SOCKET)),
    ("alt_stat_name", 28, FieldType::Text),
    ("upstream_connection_options", 30, FieldType::Message(UPSTREAM_CONNECTION_OPTIONS)),
    ("load_assignment", 33, FieldType::Message(CLUSTER_LOAD_ASSIGNMENT)),
    ("typed_extension_protocol_options", 36, FieldType::AnyMap),
    ("cluster_type", 38, FieldType::Message(CUSTOM_CLUSTER_TYPE)),
];
/// `envoy.config.cluster.v3.CircuitBreakers`
const CIRCUIT_BREAKERS: Message = &[("thresholds", 1, FieldType::Message(THRESHOLDS))];
/// `envoy.config.cluster.v3.CircuitBreakers.Thresholds`
const THRESHOLDS: Message = &[
    ("max_connections", 2, FieldType::UInt32Value),
    ("max_pending_requests", 3, FieldType::UInt32Value),
    ("max_requests", 4, FieldType::UInt32Value),
    ("max_retries", 5, FieldType::UInt32Value),
];
/// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`
const UPSTREAM_HTTP: Message = &[
    ("common_http_protocol_options", 1, FieldType::Message(HTTP_PROTOCOL_OPTIONS)),
    ("explicit_http_config", 3, FieldType::Message(EXPLICIT_HTTP_CONFIG)),
    ("http_filters", 6, FieldType::Message(HTTP_FILTER)),
];
/// `envoy.config.core.v3.HttpProtocolOptions`
const HTTP_PROTOCOL_OPTIONS: Message =
    &[("idle_timeout", 1, FieldType::Duration), ("max_headers_count", 2, FieldType::UInt32Value)];
/// `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig`
const EXPLICIT_HTTP_CONFIG: Message =
    &[("http_protocol_options", 1, FieldType::Message(HTTP1_PROTOCOL_OPTIONS))];
/// `envoy.config.core.v3.Http1ProtocolOptions`
const HTTP1_PROTOCOL_OPTIONS: Message =
    &[("allow_chunked_length", 6, FieldType::Bool), ("send_fully_qualified_url", 8, FieldType::Bool)];
/// `envoy.config.endpoint.v3.ClusterLoadAssignment`
const CLUSTER_LOAD_ASSIGNMENT: Message =
    &[("cluster_name", 1, FieldType::Text), ("endpoints", 2, FieldType::Message(LOCALITY_LB_ENDPOINTS))];
/// `envoy.config.endpoint.v3.LocalityLbEndpoints`
const LOCALITY_LB_ENDPOINTS: Message = &[("lb_endpoints", 2, FieldType::Message(LB_ENDPOINT))];
/// `envoy.config.endpoint.v3.LbEndpoint`
const LB_ENDPOINT: Message =
    &[("endpoint", 1, FieldType::Message(ENDPOINT)), ("metadata", 3, FieldType::Message(METADATA))];
/// `envoy.config.endpoint.v3.Endpoint`
const ENDPOINT: Message = &[("address", 1, FieldType::Message(ADDRESS))];
/// `envoy.config.core.v3.Address`
const ADDRESS: Message = &[
    ("socket_address", 1, FieldType::Message(SOCKET_ADDRESS)),
    ("pipe", 2, FieldType::Message(PIPE)),
    ("envoy_internal_address", 3, FieldType::Message(ENVOY_INTERNAL_ADDRESS)),
];
/// `envoy.config.core.v3.EnvoyInternalAddress`
const ENVOY_INTERNAL_ADDRESS: Message =
    &[("server_listener_name", 1, FieldType::Text), ("endpoint_id", 2, FieldType::Text)];
/// `envoy.config.core.v3.TransportSocket`
const TRANSPORT_SOCKET: Message = &[("name", 1, FieldType::Text), ("typed_config", 3, FieldType::Any)];
/// `envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport`
const INTERNAL_UPSTREAM_TRANSPORT: Message = &[
    ("passthrough_metadata", 1, FieldType::Message(METADATA_VALUE_SOURCE)),
    ("transport_socket", 3, FieldType::Message(TRANSPORT_SOCKET)),
];
/// `envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer`
const RAW_BUFFER: Message = &[];
/// `envoy.config.core.v3.Metadata`
const METADATA: Message = &[("filter_metadata", 1, FieldType::StructMap)];
/// `envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport.MetadataValueSource`
const METADATA_VALUE_SOURCE: Message =
    &[("kind", 1, FieldType::Message(METADATA_KIND)), ("name", 2, FieldType::Text)];
/// `envoy.type.metadata.v3.MetadataKind`
const METADATA_KIND: Message = &[("host", 4, FieldType::Message(HOST))];
/// `envoy.type.metadata.v3.MetadataKind.Host`
const HOST: Message = &[];
/// `envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`
const UPSTREAM_TLS_CONTEXT: Message =
    &[("common_tls_context", 1, FieldType::Message(COMMON_TLS_CONTEXT)), ("sni", 2, FieldType::Text)];
/// `envoy.extensions.transport_sockets.tls.v3.CommonTlsContext`
const COMMON_TLS_CONTEXT: Message = &[
    ("tls_params", 1, FieldType::Message(TLS_PARAMETERS)),
    ("validation_context", 3, FieldType::Message(CERTIFICATE_VALIDATION_CONTEXT)),
    ("alpn_protocols", 4, FieldType::Text),
];
/// `envoy.extensions.transport_sockets.tls.v3.TlsParameters`
const TLS_PARAMETERS: Message = &[
    ("tls_minimum_protocol_version", 1, FieldType::Enum(TLS_PROTOCOL)),
    ("tls_maximum_protocol_version", 2, FieldType::Enum(TLS_PROTOCOL)),
];
/// `envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext`
const CERTIFICATE_VALIDATION_CONTEXT: Message = &[
    ("trusted_ca", 1, FieldType::Message(DATA_SOURCE)),
    ("match_typed_subject_alt_names", 15, FieldType::Message(SUBJECT_ALT_NAME_MATCHER)),
];
/// `envoy.config.core.v3.DataSource`
const DATA_SOURCE: Message = &[("filename", 1, FieldType::Text)];
/// `envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher`
const SUBJECT_ALT_NAME_MATCHER: Message =
    &[("san_type", 1, FieldType::Enum(SAN_TYPE)), ("matcher", 2, FieldType::Message(STRING_MATCHER))];
/// `envoy.type.matcher.v3.StringMatcher`
const STRING_MATCHER: Message = &[("exact", 1, FieldType::Text)];
/// `envoy.config.core.v3.SocketAddress`
const SOCKET_ADDRESS: Message = &[("address", 2, FieldType::Text), ("port_value", 3, FieldType::Number)];
/// `envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter`
const HTTP_FILTER: Message = &[("name", 1, FieldType::Text), ("typed_config", 4, FieldType::Any)];
/// `envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`
const HEADER_MUTATION: Message = &[("mutations", 1, FieldType::Message(MUTATIONS))];
/// `envoy.extensions.filters.http.header_mutation.v3.Mutations`
const MUTATIONS: Message = &[("request_mutations", 1, FieldType::Message(HEADER_CHANGE))];
/// `envoy.config.common.mutation_rules.v3.HeaderMutation`
const HEADER_CHANGE: Message =
    &[("remove", 1, FieldType::Text), ("append", 2, FieldType::Message(HEADER_VALUE_OPTION))];
/// `envoy.config.core.v3.HeaderValueOption`
const HEADER_VALUE_OPTION: Message = &[
    ("header", 1, FieldType::Message(HEADER_VALUE)),
    ("append_action", 3, FieldType::Enum(HEADER_APPEND_ACTION)),
];
/// `envoy.config.core.v3.HeaderValue`
const HEADER_VALUE: Message = &[("key", 1, FieldType::Text), ("value", 2, FieldType::Text)];
/// `envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec`
const UPSTREAM_CODEC: Message = &[];
/// `envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter`
const DYNAMIC_MODULE_FILTER: Message =
    &[("dynamic_module_config", 1, FieldType::Message(DYNAMIC_MODULE)), ("filter_name", 2, FieldType::Text)];
/// `envoy.extensions.dynamic_modules.v3.DynamicModuleConfig`
const DYNAMIC_MODULE: Message = &[("name", 1, FieldType::Text), ("do_not_close", 3, FieldType::Bool)];
/// `envoy.extensions.filters.http.wasm.v3.Wasm`
const WASM: Message = &[("config", 1, FieldType::Message(PLUGIN_CONFIG))];
/// `envoy.extensions.wasm.v3.PluginConfig`
const PLUGIN_CONFIG: Message = &[
    ("name", 1, FieldType::Text),
    ("root_id", 2, FieldType::Text),
    ("vm_config", 3, FieldType::Message(VM_CONFIG)),
    ("failure_policy", 7, FieldType::Enum(FAILURE_POLICY)),
    ("allow_on_headers_stop_iteration", 9, FieldType::BoolValue),
];
/// `envoy.extensions.wasm.v3.VmConfig`
const VM_CONFIG: Message = &[
    ("vm_id", 1, FieldType::Text),
    ("runtime", 2, FieldType::Text),
    ("code", 3, FieldType::Message(ASYNC_DATA_SOURCE)),
];
/// `envoy.config.core.v3.AsyncDataSource`
const ASYNC_DATA_SOURCE: Message = &[("local", 1, FieldType::Message(DATA_SOURCE))];
/// `envoy.config.cluster.v3.UpstreamConnectionOptions`
const UPSTREAM_CONNECTION_OPTIONS: Message = &[("tcp_keepalive", 1, FieldType::Message(TCP_KEEPALIVE))];
/// `envoy.config.core.v3.TcpKeepalive`
const TCP_KEEPALIVE: Message = &[
    ("keepalive_probes", 1, FieldType::UInt32Value),
    ("keepalive_time", 2, FieldType::UInt32Value),
    ("keepalive_interval", 3, FieldType::UInt32Value),
];
/// `envoy.config.cluster.v3.Cluster.CustomClusterType`
const CUSTOM_CLUSTER_TYPE: Message = &[("name", 1, FieldType::Text), ("typed_config", 2, FieldType::Any)];
/// `envoy.extensions.clusters.dns.v3.DnsCluster`
const DNS_CLUSTER: Message = &[
    ("dns_failure_refresh_rate", 4, FieldType::Message(REFRESH_RATE)),
    ("respect_dns_ttl", 5, FieldType::Bool),
    ("dns_lookup_family", 8, FieldType::Enum(DNS_LOOKUP_FAMILY)),
    ("all_addresses_in_single_endpoint", 9, FieldType::Bool),
];
/// `envoy.extensions.clusters.dns.v3.DnsCluster.RefreshRate`
const REFRESH_RATE: Message =
    &[("base_interval", 1, FieldType::Duration), ("max_interval", 2, FieldType::Duration)];
/// `envoy.config.core.v3.Pipe`
const PIPE: Message = &[("path", 1, FieldType::Text), ("mode", 2, FieldType::Number)];

const TLS_PROTOCOL: &[(&str, u64)] = &[("TLSv1_2", 3), ("TLSv1_3", 4)];
const SAN_TYPE: &[(&str, u64)] = &[("DNS", 2), ("IP_ADDRESS", 4)];
const DNS_LOOKUP_FAMILY: &[(&str, u64)] = &[("V4_PREFERRED", 4), ("ALL", 5)];
const HEADER_APPEND_ACTION: &[(&str, u64)] = &[("OVERWRITE_IF_EXISTS_OR_ADD", 2)];
const FAILURE_POLICY: &[(&str, u64)] = &[("FAIL_RELOAD", 1)];
