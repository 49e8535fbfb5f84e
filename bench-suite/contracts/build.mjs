// Compiles src/*.sol with the pinned compiler and writes one artifact per contract:
//
//     npm ci && node build.mjs
//
// Artifacts are committed, so that building Pleach needs no Node.js. A Rust test compares the
// source hashes that they record with the sources.

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const solc = createRequire(import.meta.url)("solc");
const root = dirname(fileURLToPath(import.meta.url));
const CONTRACTS = [
  "Token", "Pair", "Router", "OpenCollectible", "NumberedCollectible", "Cradle",
];
// No metadata is appended: the code depends on nothing but its source and these settings.
const SETTINGS = {
  evmVersion: "osaka",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
};
// "selfdestruct is deprecated": it is here on purpose.
const EXPECTED_WARNINGS = new Set(["5159"]);

function compile() {
  const files = readdirSync(join(root, "src")).filter((name) => name.endsWith(".sol")).sort();
  const read = (name) => ({ content: readFileSync(join(root, "src", name), "utf8") });
  const sources = Object.fromEntries(files.map((name) => [`src/${name}`, read(name)]));
  const outputs = ["abi", "metadata", "storageLayout", "evm.bytecode", "evm.deployedBytecode"];
  const outputSelection = { "*": { "*": outputs } };
  const input = { language: "Solidity", sources, settings: { ...SETTINGS, outputSelection } };
  return JSON.parse(solc.compile(JSON.stringify(input)));
}

function reportDiagnostics(errors = []) {
  const unexpected = errors.filter((error) => !EXPECTED_WARNINGS.has(error.errorCode));
  for (const error of unexpected) console.error(error.formattedMessage);
  if (unexpected.length > 0) process.exit(1);
}

// The compiler's own metadata lists exactly the files that went into a contract, with their hashes.
function sourceHashes(contract) {
  const sources = Object.entries(JSON.parse(contract.metadata).sources);
  return Object.fromEntries(sources.map(([path, { keccak256 }]) => [path, keccak256]));
}

// Nothing may be patched into the code after compilation, because prestates use it as it stands.
function checkedRuntime(name, contract) {
  const { object, immutableReferences, linkReferences } = contract.evm.deployedBytecode;
  const patched = { ...immutableReferences, ...linkReferences };
  if (Object.keys(patched).length > 0) {
    throw new Error(`${name}: runtime code has immutables or links: ${JSON.stringify(patched)}`);
  }
  return `0x${object}`;
}

// Labels, slots, offsets and types; the compiler's syntax tree ids say nothing to a reader.
function storageLayout(contract) {
  const { storage } = contract.storageLayout;
  return storage.map(({ label, slot, offset, type }) => ({ label, slot, offset, type }));
}

function artifact(name, contract) {
  return {
    contract: name,
    compiler: solc.version(),
    settings: SETTINGS,
    sources: sourceHashes(contract),
    abi: contract.abi,
    storageLayout: storageLayout(contract),
    bytecode: `0x${contract.evm.bytecode.object}`,
    deployedBytecode: checkedRuntime(name, contract),
  };
}

const output = compile();
reportDiagnostics(output.errors);
mkdirSync(join(root, "artifacts"), { recursive: true });
for (const name of CONTRACTS) {
  const contract = output.contracts[`src/${name}.sol`][name];
  const path = join(root, "artifacts", `${name}.json`);
  writeFileSync(path, `${JSON.stringify(artifact(name, contract), null, 2)}\n`);
  console.log(`${name}: ${contract.evm.deployedBytecode.object.length / 2} bytes`);
}
