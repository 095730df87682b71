// Checks Kubernetes objects, one JSON document on standard input holding a list of them, against the published schemas, in two ways:
// the validators that are generated from them say whether values fit, and the TypeScript compiler says whether there are
// unknown fields (an API server refuses those, too).
//
// Schemas: the npm packages @kubernetes-models/{istio,envoy-gateway,gateway-api} and kubernetes-models, all MIT, generated
// from Istio's crd-all.gen.yaml, the Go types of Envoy Gateway and the Gateway API, and Kubernetes' own OpenAPI.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = join(process.argv[2], "node_modules");

/** The package with an object's kind. */
function home(apiVersion) {
  if (apiVersion.includes("istio.io/")) return `@kubernetes-models/istio/${apiVersion}`;
  if (apiVersion.startsWith("gateway.envoyproxy.io/")) return `@kubernetes-models/envoy-gateway/${apiVersion}`;
  if (apiVersion.startsWith("gateway.networking.k8s.io/")) return `@kubernetes-models/gateway-api/${apiVersion}`;
  return `kubernetes-models/${apiVersion}`;
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const problems = [];
const lines = [];
for (const [number, object] of objects.entries()) {
  const name = `${object.kind} ${object.metadata?.name}`;
  const path = `${home(object.apiVersion)}/${object.kind}`;
  try {
    const found = await import(pathToFileURL(join(modules, `${path}.js`)));
    new found[object.kind](object).validate();
  } catch (error) {
    problems.push(`${name}: ${error.message}`);
  }
  lines.push(`import type { I${object.kind} as T${number} } from "${path}";`);
  lines.push(`const o${number}: T${number} = ${JSON.stringify(object)};`);
}

const folder = mkdtempSync(join(process.argv[2], "check-"));
try {
  writeFileSync(join(folder, "objects.ts"), lines.join("\n"));
  const options = "--noEmit --strict --skipLibCheck --moduleResolution bundler --module esnext --target es2022".split(" ");
  execFileSync(join(modules, ".bin/tsc"), [...options, join(folder, "objects.ts")], { encoding: "utf8" });
} catch (error) {
  problems.push(error.stdout ?? String(error));
} finally {
  rmSync(folder, { recursive: true });
}

console.log(`${objects.length} checked`);
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);
