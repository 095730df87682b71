;; A filter that holds the request until its body is complete, and changes nothing (proxy-wasm ABI
;; 0.2.1): what any filter costs that reads bodies.
(module
  (memory (export "memory") 2)
  (func (export "proxy_abi_version_0_2_1"))
  ;; One buffer is enough: nothing that the host writes is read.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32) i32.const 65536)
  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))
  (func (export "proxy_on_vm_start") (param $context i32) (param $size i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param $context i32) (param $size i32) (result i32) i32.const 1)
  ;; 1 is StopIteration, 0 is Continue, at the end of the stream.
  (func (export "proxy_on_request_headers")
    (param $context i32) (param $headers i32) (param $end i32) (result i32)
    (i32.eqz (local.get $end)))
  ;; 1 is StopIterationAndBuffer.
  (func (export "proxy_on_request_body")
    (param $context i32) (param $size i32) (param $end i32) (result i32)
    (i32.eqz (local.get $end))))
