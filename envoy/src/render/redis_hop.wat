;; The filter of the listener "redis-hop": it holds back the end of a request, and passes on the bytes
;; before it. Redis takes the end for that of its client, and would drop a command that still waits.
;;
;; proxy-wasm ABI 0.2.1. Envoy does not enter the module for anything else.
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (i32.const 0))
  ;; 1 pauses, 0 continues. Over HTTP/1, the end arrives after the bytes, with none.
  (func (export "proxy_on_request_body") (param $context i32) (param $size i32) (param $complete i32) (result i32)
    (i32.and (local.get $complete) (i32.eqz (local.get $size)))))
