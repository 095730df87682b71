// What report.py is to the Python scripts: features by group, run with and without /v1, each reported as one line of JSON.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const URL_ROOT = process.env.LLM_BALANCER_URL;
export const KEY = process.env.LLM_BALANCER_KEY;
/** All that bytes can be, for files that have to arrive as they were sent. */
export const BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));

/** A package from the folder that the test names; `import` would look beside this file. */
export const load = (name) =>
  import(pathToFileURL(createRequire(join(process.env.LLM_BALANCER_PACKAGES, 'x')).resolve(name)));

let current = URL_ROOT;

/** The address that clients are given: with /v1 or without. */
export const base = () => current;

/** Throws unless it holds. */
export function check(holds, ...seen) {
  if (!holds) throw new Error(`not so: ${seen.map((value) => JSON.stringify(value)).join(' ')}`);
}

/** The deployment that wrote this text: `hi from paris`, `0 from paris 1 from paris`, `https://images.example/paris.png`. */
export function who(text) {
  const names = new Set([...text.matchAll(/(?:from |images\.example\/)(\w+)/g)].map((match) => match[1]));
  check(names.size === 1, 'one deployment should have written', text);
  return [...names][0];
}

/** Runs the group that is named on the command line. A feature is a function of `mark` and says which deployments answered, or what it saw otherwise. */
export async function run(groups) {
  for (current of [URL_ROOT, `${URL_ROOT}/v1`]) {
    for (const [feature, ask] of Object.entries(groups[process.argv[2]])) {
      const mark = `mark-${feature}-${current.endsWith('/v1') ? 'v1' : 'root'}`;
      const seen = await ask(mark).catch((error) => {
        console.error(error);
        console.error(`${process.argv[1]}: ${feature} failed at ${current}`);
        process.exit(1);
      });
      console.log(JSON.stringify({ feature, mark, ...(Array.isArray(seen) ? { deployments: seen } : seen) }));
    }
  }
}

/** Has as many conversations as the command line says, twelve at once, and prints what went wrong in them. */
export async function runConversations(conversation) {
  const errors = [];
  const numbers = Array.from({ length: Number(process.argv[3]) }, (_, number) => number);
  const worker = async () => {
    for (let number; (number = numbers.shift()) !== undefined; ) {
      await conversation(number).catch((error) => errors.push(String(error.stack ?? error)));
    }
  };
  await Promise.all(Array.from({ length: 12 }, worker));
  console.log(JSON.stringify({ errors }));
}
