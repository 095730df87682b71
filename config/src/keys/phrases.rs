//! Texts of several tables.

pub(super) const REMOVE: &str = "remove it";
pub(super) const NO_DATABASE: &str =
    "has no effect: no database, so no keys, users, teams or models are stored, and spend is not tracked";
pub(super) const NO_CALLBACKS: &str = "has no effect: callbacks of LiteLLM do not run here";
pub(super) const METRICS: &str = "metrics are at /stats/prometheus of Envoy's admin port";
pub(super) const ALERT_ON_METRICS: &str = "alert on the metrics at /stats/prometheus of Envoy's admin port";
pub(super) const NO_CACHE: &str = "has no effect: responses are not cached";
pub(super) const CACHE_IN_FRONT: &str = "put a cache in front";
pub(super) const UNCHANGED: &str = "has no effect: requests are passed on unchanged";
pub(super) const UNCHECKED: &str = "unsupported: requests would pass unchecked";
pub(super) const ALL_UNCHECKED: &str = "unsupported: requests and responses would pass unchecked";
pub(super) const CHECK_ELSEWHERE: &str = "check them elsewhere, and remove the key";
pub(super) const NO_VAULT: &str = "reading secrets from a vault is not supported";
pub(super) const USE_ENVIRONMENT: &str = "put the secrets into the environment";
pub(super) const BY_CONTENT: &str = "choosing the model by the content of the request is not supported";
pub(super) const NAME_MODEL: &str = "name the model in the request";
pub(super) const NO_LOGIN: &str = "has no effect: logging in for a token is not supported";
pub(super) const TOKEN: &str = "set azure_ad_token to a token, or api_key to a key";
pub(super) const HEALTH: &str =
    "has no effect: the health of a deployment is known from the responses to real requests";
pub(super) const NO_UI: &str = "has no effect: no user interface";
pub(super) const NO_PINGS: &str = "has no effect: no pings are sent while a model is silent";
pub(super) const WAIT_IN_FRONT: &str = "raise the idle timeout of what is in front to stream_timeout";
pub(super) const NO_ADDRESSES: &str = "has no effect: requests cannot name addresses";
pub(super) const NO_QUEUE: &str = "has no effect: requests are not queued";
pub(super) const NO_COSTS: &str = "has no effect: costs are not tracked";
pub(super) const LOG_LEVEL: &str = "use --log-level";
pub(super) const NO_USERS: &str = "has no effect: no users";
pub(super) const KEYS_TEAMS: &str = "has no effect: no keys, users or teams";
pub(super) const NOT_SUPPORTED: &str = "has no effect: not supported";
pub(super) const NO_FILES: &str = "has no effect: files and batches are not served";
pub(super) const NO_BUDGETS: &str = "has no effect: no budgets";
pub(super) const NOT_FETCHED: &str = "has no effect: addresses in requests are passed on, not fetched";
pub(super) const NO_DAY_LIMITS: &str = "has no effect: no limits per day";
